import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { cidrOf } from "#platform/network/host/addresses.ts";
import { inNamespace, mustRun, type RunProgram } from "#platform/network/host/program.ts";
import { networkNames } from "#platform/network/names.ts";
import { cannotRunLab, createLab, echoServer, joinBridge, resolveName } from "#platform/network/testing/lab.ts";
import { nodeProcess } from "#platform/network/testing/node-process.ts";
import type { Config } from "./config.ts";
import {
  ensureNodeNetworks,
  hostAddressFor,
  leaveOtherLayout,
  nodeCommandPrefix,
  placeNodes,
  refusedRanges,
  removeNodeNetworks,
  routeRanges,
} from "./nodes.ts";

const dataDir = mkdtempSync(join(tmpdir(), "capstan-nodes-"));
const configOf = (instance: string, count: number): Config => ({
  dataDir,
  instance,
  api: { host: "0.0.0.0", port: 6443 },
  console: { host: "127.0.0.1", port: 8080 },
  databaseUrl: "",
  serviceCIDR: "10.82.0.0/16",
  podCIDR: "10.81.0.0/16",
  dns: { domain: "cluster.local", address: "10.82.0.10" },
  engine: "jco",
  nodes: Array.from({ length: count }, (_, i) => ({
    name: `node-${i + 1}`,
    address: "192.0.2.2",
    kubeletPort: 10250,
    podCIDR: `10.81.${i}.0/24`,
    containerdSocket: "",
  })),
});

after(() => rmSync(dataDir, { recursive: true, force: true }));

test("one node stays on the host; several get namespaces and addresses in a range that nothing on the host uses", () => {
  const one = placeNodes(configOf("abcdef", 1), []);
  assert.deepEqual([one[0]?.netns, one[0]?.address], [undefined, "192.0.2.2"]);
  assert.deepEqual(nodeCommandPrefix(one[0]!), []);
  const taken = [cidrOf("172.30.0.0/22"), cidrOf("172.30.4.7/32")];
  const nodes = placeNodes(configOf("abcdef", 2), taken);
  assert.deepEqual(
    nodes.map((n) => [n.netns, n.address]),
    [
      ["capstan-abcdef-node-1", "172.30.8.2"],
      ["capstan-abcdef-node-2", "172.30.8.3"],
    ],
  );
  assert.equal(hostAddressFor(nodes[0]!), "172.30.8.1");
  // Placed nodes keep their place, also when their own bridge's route is there now.
  const again = placeNodes({ ...configOf("abcdef", 2), nodes }, [...taken, cidrOf("172.30.8.0/24")]);
  assert.deepEqual(again, nodes);
  assert.throws(() => placeNodes(configOf("abcdef", 2), [cidrOf("172.16.0.0/12")]), /no address range is free/);
});

test("the host's routes are its ranges, without the default route", () => {
  const json = `[{"dst":"default","gateway":"192.0.2.1"},{"dst":"192.0.2.0/24","dev":"eth0"},{"type":"local","dst":"127.0.0.1"}]`;
  assert.deepEqual(routeRanges(json), [cidrOf("192.0.2.0/24"), cidrOf("127.0.0.1/32")]);
  assert.deepEqual(routeRanges(""), []);
});

test("another instance's services keep their range, whatever became of its files", () => {
  const chain = `table ip capstan_x {
	chain unserved {
		ip daddr . meta l4proto . th dport vmap @no-endpoint-services
		ip daddr 10.96.0.0/16 goto reject-chain
	}
}`;
  assert.deepEqual(refusedRanges(chain), [cidrOf("10.96.0.0/16")]);
  assert.deepEqual(refusedRanges(""), []);
});

const skip = (await cannotRunLab()) ?? false;

describe("namespaces for several nodes", { skip }, () => {
  const lab = createLab();
  const base = configOf(lab.id, 2);
  const config = { ...base, nodes: placeNodes(base) };
  const cluster = {
    instance: config.instance,
    podCIDR: config.podCIDR,
    serviceCIDR: config.serviceCIDR,
    dnsAddress: config.dns.address,
    webAddress: "10.82.0.20",
    webPods: config.nodes.map((node, i) => ({ address: `10.81.${i}.9`, nodeName: node.name })),
  };
  after(() => lab.close());

  test("changing between one node and several leaves nothing of the other way", async () => {
    const host = await lab.namespace("changing");
    const { podBridge, table } = networkNames(lab.id);
    const found = async () => [
      ...(await mustRun(host.run, "ip", ["route"])).split("\n"),
      ...(await mustRun(host.run, "nft", ["list", "tables"])).split("\n"),
    ];
    await ensureNodeNetworks(config, host.run);
    await leaveOtherLayout(config, host.run);
    assert.ok((await found()).some((line) => line.startsWith(config.serviceCIDR)));
    await leaveOtherLayout({ ...config, nodes: placeNodes(configOf(lab.id, 1)) }, host.run);
    assert.deepEqual((await found()).filter(Boolean), []);
    await mustRun(host.run, "ip", ["link", "add", podBridge, "type", "bridge"]);
    await mustRun(host.run, "nft", ["add", "table", "ip", table]);
    await leaveOtherLayout(config, host.run);
    assert.deepEqual((await found()).filter(Boolean), []);
    assert.equal((await host.run("ip", ["link", "show", podBridge])).code, 1);
  });

  test("host, nodes, pods and services reach each other and the outside; made twice, removed whole", async () => {
    const host = await lab.namespace("host");
    const world = await lab.namespace("world");
    await mustRun(host.run, "ip", ["link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", world.name]);
    await mustRun(host.run, "ip", ["address", "add", "198.51.100.1/24", "dev", "up0"]);
    await mustRun(host.run, "ip", ["link", "set", "dev", "up0", "up"]);
    await mustRun(world.run, "ip", ["address", "add", "198.51.100.2/24", "dev", "eth0"]);
    await mustRun(world.run, "ip", ["link", "set", "dev", "eth0", "up"]);
    await ensureNodeNetworks(config, host.run);
    await ensureNodeNetworks(config, host.run);
    try {
      const [first, second] = config.nodes.map((node) => ({ ...node, run: inNamespace(node.netns!, host.run) }));
      await lab.node(world.name, echoServer("world", 8000));
      await lab.node(host.name, echoServer("host", 8001));
      await lab.node(second!.netns!, echoServer("second", 8002));
      const get = (from: RunProgram, url: string) => mustRun(from, "curl", ["-s", "--noproxy", "*", "-m", "3", url]);
      assert.equal(await get(first!.run, `http://${hostAddressFor(first!)}:8001/`), `host ${first!.address}`);
      assert.equal(await get(host.run, `http://${second!.address}:8002/`), `second ${hostAddressFor(first!)}`);
      assert.equal(await get(first!.run, `http://${second!.address}:8002/`), `second ${first!.address}`);
      assert.equal(await get(first!.run, "http://198.51.100.2:8000/"), "world 198.51.100.1");
      // A pod on each node; both nodes' networks know the service that they back.
      const gets = new Map<string, { name: string; run: RunProgram }>();
      for (const [index, node] of [first!, second!].entries()) {
        await lab.node(node.netns!, nodeProcess({ ...cluster, node: { name: node.name, podCIDR: node.podCIDR } }));
        const pod = await lab.namespace(`pod${index}`);
        const { address } = cluster.webPods[index]!;
        const bridge = networkNames(config.instance).podBridge;
        await joinBridge(node.run, pod, { link: "pod0", bridge, address, gateway: `10.81.${index}.1` });
        await lab.node(pod.name, echoServer(node.name, 8080));
        gets.set(node.name, pod);
      }
      const answers = async (from: RunProgram) => {
        const seen = new Set<string>();
        for (let i = 0; i < 24; i++) seen.add(await get(from, "http://10.82.0.20/"));
        return [...seen].sort();
      };
      // Between nodes a pod keeps its address; to itself, through the service, it is its gateway's.
      assert.deepEqual(await answers(gets.get("node-1")!.run), ["node-1 10.81.0.1", "node-2 10.81.0.9"]);
      assert.deepEqual(await answers(gets.get("node-2")!.run), ["node-1 10.81.1.9", "node-2 10.81.1.1"]);
      assert.deepEqual(
        (await answers(host.run)).map((text) => text.split(" ")[0]),
        ["node-1", "node-2"],
      );
      assert.equal(await get(host.run, "http://10.81.1.9:8080/"), `node-2 ${hostAddressFor(first!)}`);
      assert.equal(await get(gets.get("node-2")!.run, "http://198.51.100.2:8000/"), "world 198.51.100.1");
      for (const from of [host.run, gets.get("node-2")!.run]) {
        const script = resolveName(config.dns.address, "web.default.svc.cluster.local");
        assert.equal((await mustRun(from, process.execPath, ["-e", script])).trim(), cluster.webAddress);
      }
    } finally {
      const lines = await removeNodeNetworks(config, host.run);
      assert.equal(lines.length, 3, lines.join("\n"));
    }
    assert.equal((await mustRun(host.run, "nft", ["list", "ruleset"])).trim(), "");
    assert.deepEqual(await removeNodeNetworks(config, host.run), []);
  });
});
