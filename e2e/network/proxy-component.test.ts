/** Services of a node that a component programs: the example of examples/proxy, in a real kernel. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RunProgram } from "#platform/network/host/program.ts";
import type { EndpointSlice, Service } from "#platform/network/objects.ts";
import { cannotRunLab, createLab, echoServer, joinBridge, until } from "#platform/network/testing/lab.ts";
import { capabilitiesDigest } from "#sdk/plugin/approval.ts";
import { buildPlugin } from "#sdk/plugin/build.ts";
import { servicesProcess, type Told } from "./services-process.ts";

const BRIDGE = "capproxy0";
const NODE = "node-1";
const GATEWAY = "10.81.0.1";
const WEB = "http://10.82.0.10/";
const address = (pod: number) => `10.81.0.${10 + pod}`;

const service = (name: string, clusterIP: string): Service => ({
  metadata: { name, namespace: "default" },
  spec: { type: "NodePort", clusterIP, ports: [{ port: 80, nodePort: 30_080, protocol: "TCP" }] },
});
const slice = (name: string, pods: number[]): EndpointSlice => ({
  metadata: { name: `${name}-1`, namespace: "default", labels: { "kubernetes.io/service-name": name } },
  addressType: "IPv4",
  ports: [{ name: "", protocol: "TCP", port: 8080 }],
  endpoints: pods.map((pod) => ({ addresses: [address(pod)], conditions: { ready: true }, nodeName: NODE })),
});

describe("a component that programs a node's services", { skip: (await cannotRunLab()) ?? false }, () => {
  const lab = createLab();
  const scratch = mkdtempSync(join(tmpdir(), "capstan-proxy-"));
  const pods: RunProgram[] = [];
  let host: { name: string; run: RunProgram };
  let node: ChildProcess | undefined;

  const tell = (told: Told) => void node?.stdin?.write(`${JSON.stringify(told)}\n`);
  const get = async (from: RunProgram, url: string): Promise<string> => {
    const { code, stdout } = await from("curl", ["-s", "--noproxy", "*", "-m", "3", url]);
    return code === 0 ? (stdout.split(" ")[0] ?? "") : `exit ${code}`;
  };
  const names = async (from: RunProgram, url: string) => {
    const seen = new Set<string>();
    for (let i = 0; i < 24; i++) seen.add(await get(from, url));
    return [...seen].sort().join();
  };
  const tables = async () => (await host.run("nft", ["list", "tables"])).stdout;
  const builtIn = async () => (await host.run("nft", ["list", "table", "ip", "capstan_builtin"])).stdout;

  before(async () => {
    const built = await buildPlugin(join(import.meta.dirname, "../../examples/proxy"), scratch);
    const { name, ...spec } = built.manifest;
    host = await lab.namespace("host");
    const program = servicesProcess({
      componentsDir: scratch,
      plugin: {
        apiVersion: "capstan.dev/v1",
        kind: "Plugin",
        metadata: { name },
        spec: { ...spec, digest: built.digest, approved: [capabilitiesDigest(spec.capabilities)] },
      },
      settings: {
        table: "capstan_builtin",
        nodeName: NODE,
        bridge: BRIDGE,
        nodePodCIDR: "10.81.0.0/24",
        podCIDR: "10.81.0.0/16",
        serviceCIDR: "10.82.0.0/16",
        bridgeFilter: true,
      },
    });
    node = spawn("nsenter", [`--net=/run/netns/${host.name}`, "--", process.execPath, "-e", program], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await Promise.race([once(node.stdout ?? node, "data"), once(node, "exit")]);
    assert.equal(node.exitCode, null, "the node's process runs");
    for (const pod of [0, 1]) {
      const ns = await lab.namespace(`pod${pod}`);
      pods.push(ns.run);
      const cable = { link: `pod${pod}`, bridge: BRIDGE, address: address(pod), gateway: GATEWAY };
      await joinBridge(host.run, ns, cable);
      await lab.node(ns.name, echoServer(`pod${pod}`, 8080));
    }
    tell({ services: [service("web", "10.82.0.10")], slices: [slice("web", [0, 1])] });
    await until("the built-in rules serve", async () => (await names(host.run, WEB)) === "pod0,pod1");
  });
  after(async () => {
    if (node && node.exitCode === null) {
      node.kill("SIGKILL");
      await once(node, "exit");
    }
    await lab.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  it("takes over from the built-in rules, from the host, from pods and from a pod to itself", async () => {
    tell({ enabled: true });
    await until("its table is there", async () => /capstan_example_services/.test(await tables()));
    await until("the built-in rules step back", async () => !/dnat (ip )?to/.test(await builtIn()));
    for (const from of [host.run, ...pods]) assert.equal(await names(from, WEB), "pod0,pod1");
    assert.equal(await names(pods[0] ?? host.run, `http://${GATEWAY}:30080/`), "pod0,pod1");
  });

  it("follows what changes, and what nobody answers is refused", async () => {
    tell({ slices: [slice("web", [1])] });
    await until("only pod1", async () => (await names(host.run, WEB)) === "pod1");
    tell({ slices: [slice("web", [])] });
    await until("refused", async () => (await get(host.run, WEB)) === "exit 7");
    tell({ services: [service("late", "10.82.0.11")], slices: [slice("late", [0])] });
    await until("the late one", async () => (await get(host.run, "http://10.82.0.11/")) === "pod0");
    tell({ slices: [slice("web", [0, 1])] });
    await until("both again", async () => (await names(host.run, WEB)) === "pod0,pod1");
  });

  it("takes its rules away when it is turned off, and the built-in ones serve", async () => {
    tell({ enabled: false });
    await until("its table is gone", async () => !/capstan_example_services/.test(await tables()));
    await until("served again", async () => (await names(host.run, WEB)) === "pod0,pod1");
    assert.match(await builtIn(), /dnat (ip )?to/);
  });
});
