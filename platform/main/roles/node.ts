/**
 * The role "node": one host's agent. Its network (bridge, services, DNS), the components through which it speaks to the runtime and
 * to CNI, the agent itself and the agent's API. Containers, rules and interfaces stay when this process ends.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { delay } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import type { AttachedPod } from "#platform/network/guard/guard.ts";
import { sysctlRecordFile } from "#platform/network/host/changes.ts";
import { networkNames } from "#platform/network/names.ts";
import { type RunningNetwork, startNetwork } from "#platform/network/node.ts";
import type { PlacedPod } from "#platform/network/policy/model.ts";
import { type Agent, startAgent } from "#platform/node/agent.ts";
import { createComponentRuntime } from "#platform/node/component-runtime.ts";
import type { Network, NetworkResult } from "#platform/node/ports.ts";
import { routeRuntimes } from "#platform/node/runtimes.ts";
import { type NodeServer, startServer } from "#platform/node/server.ts";
import { createWasmRuntime, type WasmRuntime } from "#platform/node/wasm/runtime.ts";
import { createPluginHost, type PluginHostOptions } from "#platform/plugin-host/host.ts";
import { createNetworkCalls } from "#platform/plugin-host/worlds/v1/network.ts";
import { createProxyCalls } from "#platform/plugin-host/worlds/v1/proxy.ts";
import { createRuntimeCalls } from "#platform/plugin-host/worlds/v1/runtime.ts";
import { createClient } from "#sdk/client/client.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";
import { PLUGINS, type Plugin } from "#sdk/plugin/manifest.ts";
import { createClaimDrivers } from "../claim-drivers.ts";
import { type Config, type NodeConfig, paths } from "../config.ts";
import { createDevicePlugins } from "../device-plugins.ts";
import { renewCertificates } from "../join/joined.ts";
import { hostAddressFor } from "../nodes.ts";
import { pluginLogs } from "../plugins.ts";
import type { RoleContext, StartRole } from "../role.ts";
import { whenServed } from "../served.ts";
import { createVolumeDrivers } from "../volume-drivers.ts";
import { componentNamespaces } from "../wasm-namespaces.ts";
import { startComponentsNode } from "./node-components.ts";

const PODS_MAX = 110;

export const start: StartRole = async (context) => {
  const { config, log, nodeName } = context;
  const node = config.nodes.find((one) => one.name === nodeName);
  if (node === undefined) throw new Error(`config.json names no node "${nodeName ?? ""}"`);
  const directory = paths(config.dataDir).node(node.name);
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  if (node.componentsOnly) return startComponentsNode(context, node, PODS_MAX);
  const client = nodeClient(config, node);
  const stopping = new AbortController();
  const { signal } = stopping;
  const parts: { agent?: Agent; server?: NodeServer; components?: WasmRuntime } = {};

  const plugins = createInformer<Plugin>(client, PLUGINS, { log });
  const host = pluginHost(context, node, client, plugins);
  const adapters = adapterOptions(context, node, plugins);
  const volumeCalls = createVolumeDrivers(adapters);
  const deviceSources = createDevicePlugins(adapters);
  const claimDrivers = createClaimDrivers(adapters);
  const serviceComponent = createProxyCalls(host);
  host.start();
  const begin = async () => {
    await whenServed(client, signal);
    const network = await startNetwork({
      client,
      log,
      signal,
      instance: config.instance,
      node: { name: node.name, podCIDR: node.podCIDR },
      podCIDR: config.podCIDR,
      serviceCIDR: config.serviceCIDR,
      ...(config.secondary && node.secondary
        ? { secondary: { ...config.secondary, nodePodCIDR: node.secondary.podCIDR } }
        : {}),
      dns: config.dns,
      serviceComponent,
      ...(node.netns === undefined ? { recordFile: sysctlRecordFile(config.dataDir) } : {}),
      attached: attachedPods(config, directory),
      tenantOfAddress: (address) => tenantAt(parts.agent, address),
    });
    volumeCalls.start();
    deviceSources.start();
    await plugins.start(signal);
    await host.ready();
    const components = createWasmRuntime({
      directory: paths(config.dataDir).wasm(node.name),
      now: Date.now,
      listenAddress: () => undefined,
      namespaces: componentNamespaces(config.instance),
    });
    parts.components = components;
    const agent = startAgent({
      settings: {
        name: node.name,
        address: node.address,
        kubeletPort: node.kubeletPort,
        directory,
        dns: config.dns,
        podCIDR: node.podCIDR,
        ...(node.secondary ? { secondary: node.secondary } : {}),
        cgroupRoot: `capstan-${config.instance}-${node.name}`,
        podsMax: PODS_MAX,
      },
      client,
      runtime: routeRuntimes(components, createComponentRuntime(createRuntimeCalls(host))),
      usage: components.usage,
      network: placing(config, createNetworkCalls<NetworkResult>(host), network),
      volumeCalls,
      deviceSources,
      claimDrivers,
      log,
    });
    parts.agent = agent;
    const pem = (name: string) => readFileSync(join(paths(config.dataDir).pki, name), "utf8");
    const credentials = { cert: pem(`node-${node.name}.crt`), key: pem(`node-${node.name}.key`), ca: pem("ca.crt") };
    parts.server = await startServer(agent, credentials, { host: node.address, port: node.kubeletPort });
    await Promise.all([agent.ready, network.ready]);
    if (config.joined) void keepCertificates(context, node, signal);
  };

  // Who manages the machine's power says by this signal that it goes; the node's pods end in order, and the process stays until it is ended.
  const powerFails = () => void parts.agent?.shutDown();
  process.on("SIGPWR", powerFails);
  return {
    ready: begin(),
    async stop() {
      process.off("SIGPWR", powerFails);
      stopping.abort();
      await parts.server?.close();
      await parts.agent?.stop();
      parts.components?.close();
      await volumeCalls.close();
      await deviceSources.close();
      await claimDrivers.close();
      await host.close().catch((error: unknown) => log.warn("a component did not end", { error: messageOf(error) }));
      client.close();
    },
  };
};

/** In a network namespace of its own the node finds the API server at the host's end of its cable. */
function nodeClient(config: Config, node: NodeConfig): Client {
  const options = loadKubeconfig(paths(config.dataDir).roleKubeconfig(`node-${node.name}`));
  const address = hostAddressFor(node);
  const server = address === undefined ? options.server : `https://${address}:${config.api.port}`;
  return createClient({ ...options, server, userAgent: `capstan-node/${node.name}` });
}

/** For components that speak with programs of the node. */
function adapterOptions(
  { config, log }: RoleContext,
  node: NodeConfig,
  plugins: PluginHostOptions["plugins"],
): Omit<PluginHostOptions, "worlds"> {
  const { components, run } = paths(config.dataDir);
  return {
    role: "node",
    instance: node.name,
    engine: config.engine,
    componentsDir: components,
    plugins,
    variables: { dataDir: config.dataDir, runDir: run },
    facts: { nodeName: node.name },
    log,
  };
}

function pluginHost(
  { config, log }: RoleContext,
  node: NodeConfig,
  client: Client,
  plugins: Parameters<typeof createPluginHost>[0]["plugins"],
) {
  const { components, run, node: directoryOf } = paths(config.dataDir);
  const cniDir = join(directoryOf(node.name), "cni");
  mkdirSync(cniDir, { recursive: true, mode: 0o711 });
  return createPluginHost({
    role: "node",
    instance: node.name,
    engine: config.engine,
    componentsDir: components,
    worlds: ["runtime", "network", "proxy"],
    plugins,
    client,
    variables: { dataDir: config.dataDir, runDir: run, containerdSocket: node.containerdSocket, cniDir },
    facts: {
      nodeName: node.name,
      podCIDR: node.podCIDR,
      secondaryPodCIDR: node.secondary?.podCIDR ?? "",
      bridge: networkNames(config.instance).podBridge,
      cniDir,
      clusterDNS: config.dns.address,
      clusterDomain: config.dns.domain,
    },
    logs: pluginLogs(config, `node-${node.name}`, log),
    log,
  });
}

const CERTIFICATES_CHECK_MS = 3_600_000;

/** Certificates that a control plane elsewhere signed are renewed in time; then this process ends, and its next one uses them. */
async function keepCertificates({ config, log }: RoleContext, node: NodeConfig, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      if (await renewCertificates(config, node, false, Date.now())) {
        log.info("this node has new certificates and starts again");
        process.kill(process.pid, "SIGTERM");
        return;
      }
    } catch (error) {
      log.warn("this node's certificates could not be renewed and are tried again", { error: messageOf(error) });
    }
    await delay(CERTIFICATES_CHECK_MS, signal);
  }
}

/** A pod that got its address is told to the policies before its containers start. */
const placing = (config: Config, calls: Network, network: RunningNetwork): Network => ({
  ...calls,
  async add(pod) {
    const result = await calls.add(pod);
    const { tenant, podNamespace, podName, podUid: uid } = pod;
    const { address, ...second } = addressesOf(result);
    if (address !== undefined)
      await network.place({
        key: `${tenant}/${podNamespace}/${podName}`,
        uid,
        tenant,
        address,
        ...second,
        ...cableOf(config, result),
      });
    return result;
  },
  async del(pod) {
    await calls.del(pod);
    network.unplace(pod.podUid);
  },
});

function addressesOf({ ips }: NetworkResult): { address?: string; secondaryAddress?: string } {
  const [address, secondaryAddress] = ips.map((ip) => ip.address.split("/")[0]);
  return { ...(address ? { address } : {}), ...(secondaryAddress ? { secondaryAddress } : {}) };
}

/** The pod's cable: of the interfaces outside of the pod the one that is not the bridge, and the one inside. */
function cableOf({ instance }: Config, { interfaces = [] }: NetworkResult): Pick<PlacedPod, "cable"> {
  const { podBridge } = networkNames(instance);
  const outer = interfaces.find(({ name, sandbox }) => !sandbox && name !== podBridge);
  const mac = interfaces.find(({ sandbox }) => sandbox)?.mac;
  return outer && mac ? { cable: { link: outer.name, mac } } : {};
}

/** What an earlier process connected, from what the agent keeps of its pods (`pods/UID/network.json`). */
function attachedPods(config: Config, directory: string): AttachedPod[] {
  const pods = join(directory, "pods");
  if (!existsSync(pods)) return [];
  return readdirSync(pods).flatMap((uid) => {
    try {
      const { result } = JSON.parse(readFileSync(join(pods, uid, "network.json"), "utf8")) as { result: NetworkResult };
      const { cable } = cableOf(config, result);
      const { address, ...second } = addressesOf(result);
      return cable && address !== undefined ? [{ uid, ...cable, address, ...second }] : [];
    } catch {
      // On the host's network, or not connected yet.
      return [];
    }
  });
}

/** The tenant of a pod that has its address before the API says so. */
function tenantAt(agent: Agent | undefined, address: string): string | undefined {
  const pod = agent?.pods().find((one) => one.status?.podIPs?.some(({ ip }) => ip === address) === true);
  return pod === undefined ? undefined : tenantOf(pod);
}
