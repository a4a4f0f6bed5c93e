/** For guests: the plugin's configuration, and facts about where it runs. */
import config from "capstan:plugin/config@1.0.0";

/** Plugin.spec.config, checked by the host against the manifest's configSchema. */
export const readConfig = <T>(): T => JSON.parse(config.get()) as T;

export interface HostFacts {
  role: string;
  instance: string;
  [fact: string]: unknown;
}

export const readHost = (): HostFacts => JSON.parse(config.host()) as HostFacts;
