/**
 * The role "node" where containers cannot run: the agent over the runtime of components alone. Its pods listen on loopback, and so does its
 * service proxy; it needs no rights and changes nothing on the machine.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loopbackAddress } from "#platform/base/loopback.ts";
import { startUserspaceProxy } from "#platform/network/userspace/proxy.ts";
import { type Agent, startAgent } from "#platform/node/agent.ts";
import { routeRuntimes } from "#platform/node/runtimes.ts";
import { type NodeServer, startServer } from "#platform/node/server.ts";
import { createLoopbackNetwork } from "#platform/node/wasm/network.ts";
import { createWasmRuntime } from "#platform/node/wasm/runtime.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { type NodeConfig, paths } from "../config.ts";
import type { RoleContext, RunningRole } from "../role.ts";
import { whenServed } from "../served.ts";

export function startComponentsNode({ config, log }: RoleContext, node: NodeConfig, podsMax: number): RunningRole {
  const where = paths(config.dataDir);
  const client = createClient({
    ...loadKubeconfig(where.roleKubeconfig(`node-${node.name}`)),
    userAgent: `capstan-node/${node.name}`,
  });
  const stopping = new AbortController();
  const { signal } = stopping;
  const directory = where.wasm(node.name);
  const network = createLoopbackNetwork(directory, config.instance, node.podCIDR);
  const runtime = createWasmRuntime({ directory, now: Date.now, listenAddress: network.listenAddress });
  const parts: { agent?: Agent; server?: NodeServer; proxyStopped?: Promise<void> } = {};

  const begin = async () => {
    await whenServed(client, signal);
    const agent = startAgent({
      settings: {
        name: node.name,
        address: node.address,
        kubeletPort: node.kubeletPort,
        directory: where.node(node.name),
        dns: config.dns,
        podCIDR: node.podCIDR,
        cgroupRoot: `capstan-${config.instance}-${node.name}`,
        podsMax,
        componentsOnly: true,
      },
      client,
      runtime: routeRuntimes(runtime, undefined),
      network,
      reach: (address) => (address === node.address ? address : loopbackAddress(config.instance, "pods", address)),
      usage: runtime.usage,
      log,
    });
    parts.agent = agent;
    const pem = (name: string) => readFileSync(join(where.pki, name), "utf8");
    const credentials = { cert: pem(`node-${node.name}.crt`), key: pem(`node-${node.name}.key`), ca: pem("ca.crt") };
    parts.server = await startServer(agent, credentials, { host: node.address, port: node.kubeletPort });
    const proxy = startUserspaceProxy({
      client,
      instance: config.instance,
      nodeName: node.name,
      tenantOfAddress: (address) => {
        const pod = agent.pods().find((one) => one.status?.podIPs?.some(({ ip }) => ip === address) === true);
        return pod && tenantOf(pod);
      },
      log,
      signal,
    });
    parts.proxyStopped = proxy.stopped;
    await Promise.all([agent.ready, proxy.ready]);
  };
  return {
    ready: begin(),
    async stop() {
      stopping.abort();
      await parts.server?.close();
      await parts.agent?.stop();
      await parts.proxyStopped;
      runtime.close();
      client.close();
    },
  };
}
