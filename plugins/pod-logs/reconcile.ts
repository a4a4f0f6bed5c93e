/** One pod: its part of the collector's configuration, written, checked, and read by a collector that is started anew. */

import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import type { ControllerHooks } from "#sdk/plugin/define.ts";
import {
  baseConfiguration,
  type CollectorSettings,
  fileOf,
  type LoggedPod,
  podConfiguration,
  topicOf,
} from "./configuration.ts";

const PODS: GroupVersionResource = { group: "", version: "v1", resource: "pods" };
const BASE = "collector.conf";
const PID = "collector.pid";
const CHECK_MS = 20_000;
/** Somebody may have ended it. */
const LOOK_AGAIN_MS = 60_000;

/** What the component has of its host; a test gives its own. */
export interface Host {
  api: {
    find<T extends KubeObject>(resource: GroupVersionResource, ref: { namespace: string; name: string }): T | undefined;
  };
  files: {
    read(tree: string, path: string): string | undefined;
    write(tree: string, path: string, contents: string): void;
    remove(tree: string, path: string): void;
  };
  run(
    program: string,
    args: string[],
    o?: { timeoutMs?: number },
  ): { exitCode: number; stdout: string; stderr: string };
  settings(): CollectorSettings;
}

export function createHooks(host: Host): ControllerHooks {
  return {
    watches: () => [{ ...PODS, labelSelector: "", fieldSelector: "", key: { tag: "self" } }],
    reconcile({ tenant, namespace, name }) {
      const settings = host.settings();
      const file = fileOf(tenant, namespace, name);
      const pod = host.api.find<LoggedPod & KubeObject>(PODS, { namespace, name });
      const topic = pod && topicOf(pod);
      const before = host.files.read("state", file);
      const wanted = pod && topic !== undefined ? podConfiguration(tenant, pod, topic, settings) : undefined;
      if (wanted === undefined) {
        if (before === undefined) return undefined;
        host.files.remove("state", file);
        restart(host, settings);
        return undefined;
      }
      if (before === wanted && isRunning(host)) return { requeueMs: LOOK_AGAIN_MS };
      host.files.write("state", file, wanted);
      try {
        restart(host, settings);
      } catch (error) {
        // What the collector does not take must not keep it from everybody else's.
        if (before !== wanted) host.files.remove("state", file);
        throw error;
      }
      return { requeueMs: LOOK_AGAIN_MS };
    },
  };
}

const pidOf = (host: Host): string | undefined => /^\d+/.exec(host.files.read("state", PID) ?? "")?.[0];

function isRunning(host: Host): boolean {
  const pid = pidOf(host);
  return pid !== undefined && host.run("kill", ["-0", pid]).exitCode === 0;
}

/** rsyslog reads its configuration once: a change is another process. */
function restart(host: Host, settings: CollectorSettings): void {
  host.files.write("state", BASE, baseConfiguration(settings));
  const file = `${settings.state}/${BASE}`;
  const checked = host.run("rsyslogd", ["-N1", "-f", file], { timeoutMs: CHECK_MS });
  if (checked.exitCode !== 0) throw new Error(`rsyslogd refuses the configuration: ${checked.stderr.slice(0, 2000)}`);
  const pid = pidOf(host);
  if (pid !== undefined) host.run("kill", [pid]);
  host.files.remove("state", PID);
  const started = host.run("rsyslogd", ["-f", file, "-i", `${settings.state}/${PID}`], { timeoutMs: CHECK_MS });
  if (started.exitCode !== 0) throw new Error(`rsyslogd does not start: ${started.stderr.slice(0, 2000)}`);
}
