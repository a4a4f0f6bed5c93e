/** World network: one enabled plugin attaches pods. The shapes are those of the node agent's port. */
import type { Attachment } from "#sdk/plugin/types.ts";
import type { PluginHost } from "../../host.ts";
import { only } from "./only.ts";

export interface PodAttachment {
  tenant: string;
  podNamespace: string;
  podName: string;
  podUid: string;
  containerId: string;
  netns: string;
  ifname: string;
  portMappings: object[];
  annotations: Record<string, string>;
}

export interface NetworkCalls<Result> {
  add(pod: PodAttachment): Promise<Result>;
  del(pod: PodAttachment): Promise<void>;
  check(pod: PodAttachment): Promise<void>;
  status(): Promise<void>;
  gc(valid: { containerId: string; ifname: string }[]): Promise<void>;
}

const attachment = (pod: PodAttachment): Attachment => ({
  containerId: pod.containerId,
  netns: pod.netns,
  interfaceName: pod.ifname,
  pod: JSON.stringify({
    tenant: pod.tenant,
    namespace: pod.podNamespace,
    name: pod.podName,
    uid: pod.podUid,
    annotations: pod.annotations,
    portMappings: pod.portMappings,
  }),
});

/** Rejects with PluginCallError, whose message a person can act on. `Result` is the CNI result as the caller reads it. */
export function createNetworkCalls<Result>(host: PluginHost): NetworkCalls<Result> {
  const call = async (hook: string, args: unknown[]) => only(host, "network", hook).call("network-hooks", hook, args);
  return {
    add: async (pod) => JSON.parse(String(await call("add", [attachment(pod)]))) as Result,
    del: async (pod) => void (await call("del", [attachment(pod)])),
    check: async (pod) => void (await call("check", [attachment(pod)])),
    status: async () => void (await call("status", [])),
    gc: async (valid) => void (await call("gc", [valid.map(({ containerId, ifname }) => [containerId, ifname])])),
  };
}
