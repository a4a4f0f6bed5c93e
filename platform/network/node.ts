/**
 * The network half of the node agent: bridge, service proxy, policies and DNS of one node. The role "node" starts it, in the node's
 * network namespace; what it has set up in the kernel stays when the process ends.
 */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Client } from "#sdk/client/port.ts";
import { DNS_PORT, startDns } from "./dns/dns.ts";
import { type AttachedPod, startGuard } from "./guard/guard.ts";
import { prepareNodeNetwork } from "./host/prepare.ts";
import { type RunProgram, runProgram } from "./host/program.ts";
import { networkNames } from "./names.ts";
import type { PlacedPod } from "./policy/model.ts";
import { startPolicies } from "./policy/policies.ts";
import type { ServiceComponent } from "./proxy/component.ts";
import { type RunningProxy, startProxy } from "./proxy/proxy.ts";
import { startRoutes } from "./routes/routes.ts";

export interface NetworkOptions {
  client: Client;
  log: Log;
  signal: AbortSignal;
  instance: string;
  node: { name: string; podCIDR: string };
  /** All nodes' pods. */
  podCIDR: string;
  serviceCIDR: string;
  /** The ranges of the second address family, where there is one; `nodePodCIDR`: this node's. */
  secondary?: { podCIDR: string; serviceCIDR: string; nodePodCIDR: string };
  dns: { domain: string; address: string };
  /** For changed kernel settings; unset when the node has a namespace of its own. */
  recordFile?: string;
  /** Pods that were connected by an earlier process. */
  attached?: readonly AttachedPod[];
  /** What the agent knows about its pods' addresses before the API does. */
  tenantOfAddress?(address: string): string | undefined;
  /** Programs services in place of the built-in rules, while it has a component. */
  serviceComponent?: ServiceComponent;
  run?: RunProgram;
}

export interface RunningNetwork {
  /** The pods' gateway. */
  gateway: string;
  /** Resolves when services and policies are programmed and DNS answers. */
  ready: Promise<void>;
  stopped: Promise<void>;
  /** A pod has its address. Resolves when the policies that select it hold: its containers may start then. */
  place(pod: PlacedPod): Promise<void>;
  /** The pod's address is free again. */
  unplace(uid: string): void;
}

/** Rejects, with what is missing on this machine, when no network is possible here. */
export async function startNetwork(options: NetworkOptions): Promise<RunningNetwork> {
  const { client, log, signal, node, secondary, run = runProgram } = options;
  const { podBridge, table, policyTable, guardTable } = networkNames(options.instance);
  const prepared = await prepareNodeNetwork({
    bridge: podBridge,
    podCIDR: node.podCIDR,
    serviceCIDR: options.serviceCIDR,
    ...(secondary ? { secondary: { podCIDR: secondary.nodePodCIDR, serviceCIDR: secondary.serviceCIDR } } : {}),
    run,
    recordFile: options.recordFile,
  });
  for (const warning of prepared.warnings) log.warn(warning);
  const ranges = { nodePodCIDR: node.podCIDR, podCIDR: options.podCIDR, serviceCIDR: options.serviceCIDR };
  let proxy: RunningProxy | undefined;
  const policies = startPolicies({
    client,
    log,
    signal,
    run,
    ownerChanged: (address) => proxy?.touchAddress(address),
    settings: { table: policyTable, nodeName: node.name, ...ranges },
    ...(secondary ? { secondary: { table: policyTable, nodeName: node.name, ...secondary } } : {}),
  });
  const dns = await startDns({
    client,
    log,
    signal,
    nodeName: node.name,
    domain: options.dns.domain,
    serviceAddress: options.dns.address,
    listen: { address: prepared.gateway, port: DNS_PORT },
    podCIDR: options.podCIDR,
    ...(secondary && prepared.secondaryGateway
      ? { secondary: { address: prepared.secondaryGateway, podCIDR: secondary.podCIDR } }
      : {}),
    tenantOfAddress: options.tenantOfAddress,
    hasNamespace: policies.hasNamespace,
  });
  const common = { table, nodeName: node.name, bridge: podBridge, bridgeFilter: prepared.bridgeFilter };
  const services = startProxy({
    client,
    log,
    signal,
    run,
    mayServe: policies.mayReach,
    ...(options.serviceComponent ? { component: options.serviceComponent } : {}),
    ...(secondary ? { secondary: { ...common, ...secondary } } : {}),
    settings: {
      ...common,
      ...ranges,
      dns: { serviceAddress: options.dns.address, address: dns.address, port: dns.port },
    },
  });
  proxy = services;
  const guard = startGuard({ table: guardTable, run, log, signal, attached: options.attached ?? [] });
  const routes = startRoutes({
    ...{ client, log, signal, run, nodeName: node.name, podCIDR: options.podCIDR },
    secondaryPodCIDR: secondary?.podCIDR,
  });
  const stopped = Promise.all([guard.stopped, routes.stopped, dns.stopped, services.stopped, policies.stopped]).then(
    () => undefined,
    (error: unknown) => log.error("the network stopped", { error: messageOf(error) }),
  );
  return {
    gateway: prepared.gateway,
    ready: Promise.all([routes.ready, dns.ready, services.ready, policies.ready]).then(() => undefined),
    stopped,
    async place(pod) {
      if (pod.cable) {
        const { uid, cable, address, secondaryAddress } = pod;
        guard.attach({ uid, ...cable, address, ...(secondaryAddress ? { secondaryAddress } : {}) });
      }
      await policies.place(pod);
    },
    unplace(uid) {
      guard.detach(uid);
      policies.unplace(uid);
    },
  };
}
