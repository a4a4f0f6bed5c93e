/** Makes what every part of one node's agent shares. */
import { availableParallelism, totalmem } from "node:os";
import { basename } from "node:path";
import { systemClock } from "#platform/base/clock.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { createRecorder } from "#sdk/client/recorder.ts";
import type { AgentOptions } from "./agent.ts";
import { createCgroups, withoutCgroups } from "./cgroups.ts";
import type { NodeContext } from "./context.ts";
import { createHandlers } from "./runtime-class.ts";
import { cgroupUsage } from "./stats/usage.ts";

const SERVICE_ACCOUNTS: GroupVersionResource = { group: "", version: "v1", resource: "serviceaccounts" };

export function createContext(options: AgentOptions, own: Pick<NodeContext, "services" | "apiUid">): NodeContext {
  const { settings, client, runtime, network, log, clock = systemClock } = options;
  return {
    settings,
    client,
    runtime,
    network,
    clock,
    log,
    ...own,
    recorder: createRecorder({ client, component: "kubelet", host: settings.name, log, perTenant: true }),
    cgroups: settings.componentsOnly ? withoutCgroups(settings.cgroupRoot) : createCgroups(settings.cgroupRoot),
    handlerOf: createHandlers(client, () => clock.now()),
    reach: options.reach ?? ((address) => address),
    usage: (path, now) => options.usage?.(basename(path), now) ?? cgroupUsage(path, now),
    machine: { cpuMilli: availableParallelism() * 1000, memoryBytes: totalmem() },
    async token(of, audience, expirationSeconds) {
      const { name = "", namespace, uid = "" } = of.metadata;
      const request: TokenRequestObject = {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        metadata: {},
        spec: {
          audiences: audience === undefined ? [] : [audience],
          expirationSeconds,
          boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid },
        },
      };
      const account = of.spec?.serviceAccountName ?? "default";
      request.metadata = { namespace };
      const answer = await client
        .tenant(tenantOf(of))
        .create(SERVICE_ACCOUNTS, request, { subresource: "token", name: account });
      return { token: answer.status?.token ?? "", expiresAt: Date.parse(answer.status?.expirationTimestamp ?? "") };
    },
  };
}

interface TokenRequestObject extends KubeObject {
  spec: {
    audiences: string[];
    expirationSeconds: number;
    boundObjectRef: { apiVersion: string; kind: string; name: string; uid: string };
  };
  status?: { token: string; expirationTimestamp: string };
}
