/** A node of its own for a test: containerd, the cri and cni components, the agent and its API, over an API in memory. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "#platform/base/log.ts";
import { type Config, type NodeConfig, paths } from "#platform/main/config.ts";
import { containerdCommand } from "#platform/main/containerd.ts";
import { createDevicePlugins, type DevicePluginHost } from "#platform/main/device-plugins.ts";
import { loadOwnImages } from "#platform/main/images.ts";
import { ensurePki } from "#platform/main/pki.ts";
import { createVolumeDrivers, type VolumeDriverHost } from "#platform/main/volume-drivers.ts";
import { type Agent, startAgent } from "#platform/node/agent.ts";
import { createComponentRuntime } from "#platform/node/component-runtime.ts";
import type { NetworkResult } from "#platform/node/ports.ts";
import { type NodeServer, startServer } from "#platform/node/server.ts";
import { createFakeApi, type FakeApi } from "#platform/node/testing/fake-api.ts";
import { createPluginHost, type PluginHost } from "#platform/plugin-host/host.ts";
import { createNetworkCalls } from "#platform/plugin-host/worlds/v1/network.ts";
import { createRuntimeCalls } from "#platform/plugin-host/worlds/v1/runtime.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { capabilitiesDigest } from "#sdk/plugin/approval.ts";
import { buildPlugin } from "#sdk/plugin/build.ts";
import { type Manifest, PLUGINS, type Plugin } from "#sdk/plugin/manifest.ts";

/** Why this machine cannot run the tests; undefined: it can. */
export function missing(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  for (const program of ["/usr/bin/containerd", "/usr/sbin/runc", "/usr/lib/cni/bridge", "/bin/busybox"])
    if (!existsSync(program)) return `needs ${program}`;
  return undefined;
}

export interface NodeUnderTest {
  api: FakeApi;
  config: Config;
  node: NodeConfig;
  agent(): Agent;
  plugins(): PluginHost;
  /** Ends the agent and its components, as a restart does; containers run on. */
  stopAgent(): Promise<void>;
  startAgent(): Promise<void>;
  /** kill -9, and a new one. */
  replaceContainerd(): Promise<void>;
  setPlugin(name: string, enabled: boolean): void;
  pem(name: string): string;
  cgroupRoot: string;
  close(): Promise<void>;
}

const BRIDGE = "capnodetest0";

export async function startNode(kubeletPort: number): Promise<NodeUnderTest> {
  const dataDir = mkdtempSync(join(tmpdir(), "capstan-node-"));
  const socket = join(dataDir, "nodes/n1/containerd/containerd.sock");
  const node: NodeConfig = {
    name: "n1",
    address: "127.0.0.1",
    kubeletPort,
    podCIDR: "10.247.3.0/24",
    containerdSocket: socket,
  };
  const instance = dataDir.slice(-6);
  const config: Config = {
    dataDir,
    instance,
    api: { host: "127.0.0.1", port: 1 },
    console: { host: "127.0.0.1", port: 1 },
    databaseUrl: "",
    serviceCIDR: "10.246.0.0/16",
    podCIDR: "10.247.0.0/16",
    dns: { domain: "cluster.local", address: "10.246.0.10" },
    engine: existsSync("sdk/engine/wasmtime/capstan-wasmtime.node") ? "wasmtime" : "jco",
    nodes: [node],
  };
  const cgroupRoot = `capstan-${instance}-n1`;
  const { components, node: directoryOf, pki } = paths(dataDir);
  mkdirSync(join(directoryOf("n1"), "cni"), { recursive: true });
  let containerd = await startContainerd(config, node);
  await loadOwnImages(config);
  await ensurePki(config);
  const pem = (name: string) => readFileSync(join(pki, name), "utf8");
  const api = createFakeApi();
  const setPlugin = (name: string, digest: string, manifest: Omit<Manifest, "name">, enabled: boolean) =>
    api.put("plugins", {
      apiVersion: "capstan.dev/v1",
      kind: "Plugin",
      metadata: { name },
      spec: { ...manifest, digest, enabled, approved: [capabilitiesDigest(manifest.capabilities)] },
    } as unknown as Plugin);
  const built = new Map<string, { digest: string; manifest: Omit<Manifest, "name"> }>();
  for (const name of ["cri", "cni", "csi", "device-plugins"]) {
    const { digest, manifest } = await buildPlugin(join(import.meta.dirname, "../../plugins", name), components);
    const { name: _, ...spec } = manifest;
    built.set(name, { digest, manifest: spec });
    setPlugin(name, digest, spec, true);
  }
  const log = createLog("error");
  let running:
    | {
        agent: Agent;
        host: PluginHost;
        volumeCalls: VolumeDriverHost;
        deviceSources: DevicePluginHost;
        server: NodeServer;
        ending: AbortController;
      }
    | undefined;

  const begin = async () => {
    const ending = new AbortController();
    const plugins = createInformer<Plugin>(api.client, PLUGINS, { log });
    const host = createPluginHost({
      role: "node",
      instance: "n1",
      engine: config.engine,
      componentsDir: components,
      worlds: ["runtime", "network"],
      plugins,
      variables: {
        dataDir,
        runDir: paths(dataDir).run,
        containerdSocket: socket,
        cniDir: join(directoryOf("n1"), "cni"),
      },
      facts: { nodeName: "n1", podCIDR: node.podCIDR, bridge: BRIDGE, cniDir: join(directoryOf("n1"), "cni") },
      log,
    });
    const adapters = {
      role: "node",
      instance: "n1",
      engine: config.engine,
      componentsDir: components,
      plugins,
      variables: {},
      log,
    };
    const volumeCalls = createVolumeDrivers(adapters);
    const deviceSources = createDevicePlugins(adapters);
    host.start();
    volumeCalls.start();
    deviceSources.start();
    await plugins.start(ending.signal);
    await host.ready();
    const settings = {
      name: "n1",
      address: "127.0.0.1",
      kubeletPort,
      directory: directoryOf("n1"),
      dns: config.dns,
      cgroupRoot,
      podsMax: 110,
    };
    const agent = startAgent({
      settings,
      client: api.client,
      runtime: createComponentRuntime(createRuntimeCalls(host)),
      network: createNetworkCalls<NetworkResult>(host),
      volumeCalls,
      deviceSources,
      log,
    });
    const credentials = { cert: pem("node-n1.crt"), key: pem("node-n1.key"), ca: pem("ca.crt") };
    const server = await startServer(agent, credentials, { host: "127.0.0.1", port: kubeletPort });
    await agent.ready;
    running = { agent, host, volumeCalls, deviceSources, server, ending };
  };
  const end = async () => {
    if (running === undefined) return;
    await running.server.close();
    await running.agent.stop();
    running.ending.abort();
    await running.volumeCalls.close();
    await running.deviceSources.close();
    await running.host.close();
    running = undefined;
  };
  const current = () => {
    if (running === undefined) throw new Error("the agent does not run");
    return running;
  };
  await begin();
  return {
    api,
    config,
    node,
    cgroupRoot,
    pem,
    agent: () => current().agent,
    plugins: () => current().host,
    startAgent: begin,
    stopAgent: end,
    setPlugin(name, enabled) {
      const plugin = built.get(name);
      if (plugin !== undefined) setPlugin(name, plugin.digest, plugin.manifest, enabled);
    },
    async replaceContainerd() {
      containerd.kill("SIGKILL");
      await exited(containerd);
      containerd = await startContainerd(config, node);
    },
    async close() {
      await end();
      stopTasks(socket);
      containerd.kill("SIGTERM");
      await exited(containerd);
      for (const point of mountsBelow(dataDir)) execFileSync("umount", ["-l", point]);
      removeCgroups(cgroupRoot);
      try {
        execFileSync("ip", ["link", "delete", BRIDGE], { stdio: "ignore" });
      } catch {
        // No pod was attached.
      }
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

const exited = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once("exit", () => resolve());
  });

async function startContainerd(config: Config, node: NodeConfig): Promise<ChildProcess> {
  const { command, args, env } = containerdCommand(config, node);
  const out = openSync(join(config.dataDir, "containerd.log"), "a");
  const child = spawn(command, args, { env, stdio: ["ignore", out, out] });
  for (let tries = 0; ; tries++) {
    try {
      execFileSync("ctr", ["--address", node.containerdSocket, "version"], { stdio: "ignore", timeout: 5_000 });
      return child;
    } catch (error) {
      if (tries > 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** What a failed test left running. */
function stopTasks(socket: string): void {
  const ctr = (...args: string[]) =>
    execFileSync("ctr", ["--address", socket, "--namespace", "k8s.io", ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  for (const id of ctr("tasks", "list", "--quiet")
    .split("\n")
    .filter((one) => one !== ""))
    try {
      ctr("tasks", "delete", "--force", id);
    } catch {
      // It ended by itself meanwhile.
    }
}

const mountsBelow = (directory: string): string[] =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${directory}/`))
    .reverse();

function removeCgroups(root: string): void {
  const top = "/sys/fs/cgroup";
  const unified = existsSync(join(top, "cgroup.controllers"));
  const remove = (directory: string): void => {
    if (!existsSync(directory)) return;
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(directory, entry.name));
    rmdirSync(directory);
  };
  for (const hierarchy of unified ? [top] : readdirSync(top).map((name) => join(top, name)))
    remove(join(hierarchy, root));
}
