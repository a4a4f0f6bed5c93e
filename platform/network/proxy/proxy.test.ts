/** Real services in the kernel: a node and its pods as network namespaces. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import { prepareNodeNetwork } from "../host/prepare.ts";
import { mustRun, type RunProgram, runProgram } from "../host/program.ts";
import { createNftTable } from "../nft/table.ts";
import { type EndpointSlice, endpointSlices, type Service, services } from "../objects.ts";
import { cannotRunLab, createLab, echoServer, joinBridge, until } from "../testing/lab.ts";
import { createObjectApi } from "../testing/objects.ts";
import { type RunningProxy, startProxy } from "./proxy.ts";

const skip = await cannotRunLab();
const BRIDGE = "captest0";
const TABLE = "capstan_test";
const NODE = "node-1";

describe("services", { skip: skip ?? false }, () => {
  const lab = createLab();
  const api = createObjectApi();
  const stop = new AbortController();
  let host: { name: string; run: RunProgram };
  let outside: { name: string; run: RunProgram };
  const pods: { name: string; run: RunProgram }[] = [];
  let proxy: RunningProxy;

  const address = (pod: number) => `10.77.0.${10 + pod}`;
  const slice = (service: string, ready: number[], port: number, more: Partial<EndpointSlice> = {}): EndpointSlice => ({
    metadata: { name: `${service}-1`, namespace: "default", labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    ports: [{ name: "", protocol: "TCP", port }],
    endpoints: ready.map((pod) => ({ addresses: [address(pod)], conditions: { ready: true }, nodeName: NODE })),
    ...more,
  });
  const service = (name: string, clusterIP: string, spec: Service["spec"] = {}): Service => ({
    metadata: { name, namespace: "default" },
    spec: { type: "ClusterIP", clusterIP, ports: [{ port: 80, protocol: "TCP" }], ...spec },
  });
  /** The answer, or curl's exit code. */
  const get = async (from: RunProgram, url: string): Promise<string> => {
    const { code, stdout } = await from("curl", ["-s", "--noproxy", "*", "-m", "3", url]);
    return code === 0 ? stdout : `exit ${code}`;
  };
  const names = async (from: RunProgram, url: string, times: number) => {
    const seen = new Set<string>();
    for (let i = 0; i < times; i++) seen.add((await get(from, url)).split(" ")[0] ?? "");
    return [...seen].sort();
  };
  const settings = {
    table: TABLE,
    nodeName: NODE,
    bridge: BRIDGE,
    nodePodCIDR: "10.77.0.0/24",
    podCIDR: "10.77.0.0/16",
    serviceCIDR: "10.78.0.0/16",
    bridgeFilter: true,
  };

  before(async () => {
    host = await lab.namespace("host");
    outside = await lab.namespace("outside");
    await mustRun(host.run, "ip", [
      "link",
      "add",
      "up0",
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      outside.name,
    ]);
    await mustRun(host.run, "ip", ["address", "add", "192.168.77.1/24", "dev", "up0"]);
    await mustRun(host.run, "ip", ["link", "set", "dev", "up0", "up"]);
    await mustRun(outside.run, "ip", ["address", "add", "192.168.77.2/24", "dev", "eth0"]);
    await mustRun(outside.run, "ip", ["link", "set", "dev", "eth0", "up"]);
    await mustRun(outside.run, "ip", ["route", "add", "10.78.0.0/16", "via", "192.168.77.1"]);
    const prepared = await prepareNodeNetwork({
      bridge: BRIDGE,
      podCIDR: "10.77.0.0/24",
      serviceCIDR: "10.78.0.0/16",
      run: host.run,
    });
    for (const pod of [0, 1]) {
      const ns = await lab.namespace(`pod${pod}`);
      pods.push(ns);
      await joinBridge(host.run, ns, {
        link: `pod${pod}`,
        bridge: BRIDGE,
        address: address(pod),
        gateway: prepared.gateway,
      });
      await lab.node(ns.name, echoServer(`pod${pod}`, 8080));
    }
    await api.put(services, service("web", "10.78.0.10"));
    await api.put(endpointSlices, slice("web", [0, 1], 8080));
    proxy = startProxy({ client: api.client, settings, log: silentLog, signal: stop.signal, run: host.run });
    await proxy.ready;
  });
  after(async () => {
    stop.abort();
    await proxy?.stopped;
    await lab.close();
  });

  test("a cluster IP is answered by every endpoint, from the host, from pods and from a pod to itself", async () => {
    for (const from of [host.run, pods[0]!.run, pods[1]!.run])
      assert.deepEqual(await names(from, "http://10.78.0.10/", 24), ["pod0", "pod1"]);
  });

  test("pods see each other's addresses through a service", async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 24; i++) seen.add(await get(pods[0]!.run, "http://10.78.0.10/"));
    assert.ok(seen.has(`pod1 ${address(0)}`), [...seen].join(", "));
  });

  test("the same address with another port, and an address of no service, are refused", async () => {
    assert.equal(await get(pods[0]!.run, "http://10.78.0.10:81/"), "exit 7");
    assert.equal(await get(host.run, "http://10.78.0.99/"), "exit 7");
  });

  test("a service without endpoints refuses, and works when one comes; an endpoint that goes gets nothing more", async () => {
    await api.put(services, service("late", "10.78.0.11"));
    await until("refused", async () => (await get(host.run, "http://10.78.0.11/")) === "exit 7");
    await api.put(endpointSlices, slice("late", [0, 1], 8080));
    await until("answered", async () => (await get(host.run, "http://10.78.0.11/")).startsWith("pod"));
    await api.put(endpointSlices, slice("late", [1], 8080));
    await until("only one", async () => (await names(pods[0]!.run, "http://10.78.0.11/", 12)).join() === "pod1");
    await api.remove(services, service("late", "10.78.0.11"));
    await until("gone", async () => (await get(host.run, "http://10.78.0.11/")) === "exit 7");
  });

  test("node ports and external IPs are reached from outside; policy Local keeps the client's address", async () => {
    const spec: Service["spec"] = {
      type: "NodePort",
      ports: [{ port: 80, nodePort: 30080, protocol: "TCP" }],
      externalIPs: ["10.78.200.1"],
    };
    await api.put(services, service("out", "10.78.0.12", spec));
    await api.put(endpointSlices, slice("out", [0, 1], 8080));
    await until("node port", async () => (await get(outside.run, "http://192.168.77.1:30080/")) === "pod0 10.77.0.1");
    assert.deepEqual(await names(outside.run, "http://10.78.200.1/", 24), ["pod0", "pod1"]);
    assert.deepEqual(await names(host.run, "http://192.168.77.1:30080/", 24), ["pod0", "pod1"]);
    await api.put(services, service("out", "10.78.0.12", { ...spec, externalTrafficPolicy: "Local" }));
    await until("client's address", async () =>
      (await get(outside.run, "http://192.168.77.1:30080/")).endsWith(" 192.168.77.2"),
    );
  });

  test("an address of a load balancer lets in only its source ranges", async () => {
    const balanced = (ranges: string[]): Service => ({
      ...service("lb", "10.78.0.13", { type: "LoadBalancer", loadBalancerSourceRanges: ranges }),
      status: { loadBalancer: { ingress: [{ ip: "10.78.201.1" }] } },
    });
    await api.put(services, balanced(["192.168.77.0/24"]));
    await api.put(endpointSlices, slice("lb", [0], 8080));
    await until("allowed", async () => (await get(outside.run, "http://10.78.201.1/")).startsWith("pod0"));
    await api.put(services, balanced(["192.168.99.0/24"]));
    await until("dropped", async () => (await get(outside.run, "http://10.78.201.1/")) === "exit 28");
  });

  test("with ClientIP affinity a client stays with its endpoint, also over a restart of the proxy", async () => {
    await api.put(services, service("sticky", "10.78.0.14", { sessionAffinity: "ClientIP" }));
    await api.put(endpointSlices, slice("sticky", [0, 1], 8080));
    await until("answered", async () => (await get(host.run, "http://10.78.0.14/")).startsWith("pod"));
    const [chosen] = await names(outside.run, "http://10.78.0.14/", 10);
    assert.deepEqual(await names(outside.run, "http://10.78.0.14/", 10), [chosen]);
    const again = new AbortController();
    const second = startProxy({ client: api.client, settings, log: silentLog, signal: again.signal, run: host.run });
    await second.ready;
    assert.deepEqual(await names(outside.run, "http://10.78.0.14/", 10), [chosen]);
    again.abort();
    await second.stopped;
  });

  test("no connection fails while endpoints come and go", async () => {
    await api.put(services, service("rolling", "10.78.0.16"));
    await api.put(endpointSlices, slice("rolling", [0], 8080));
    await until("answered", async () => (await get(host.run, "http://10.78.0.16/")).startsWith("pod0"));
    const client = await lab.node(
      pods[1]!.name,
      `const { get } = require("node:http"); let [made, failed, stopping] = [0, 0, false];
       const one = () => get({ host: "10.78.0.16", agent: false, timeout: 3000 }, (a) => { a.resume(); a.on("end", next); })
         .on("error", () => { failed++; next(); }).on("timeout", function () { this.destroy(new Error("late")); });
       const next = () => { made++; if (stopping) console.log("ended " + made + " " + failed); else one(); };
       console.log("started"); process.on("SIGTERM", () => { stopping = true; }); one();`,
    );
    const seen = (name: string) =>
      until(name, async () => (await get(host.run, "http://10.78.0.16/")).startsWith(name));
    for (let round = 0; round < 6; round++) {
      // As a rolling update: the next one is ready before the last one goes, which serves until then.
      await api.put(endpointSlices, slice("rolling", [0, 1], 8080));
      await seen("pod1");
      await api.put(endpointSlices, slice("rolling", [1], 8080));
      await seen("pod1");
      await api.put(endpointSlices, slice("rolling", [0, 1], 8080));
      await seen("pod0");
      await api.put(endpointSlices, slice("rolling", [0], 8080));
      await seen("pod0");
    }
    const said = once(client.stdout!, "data");
    client.kill("SIGTERM");
    const [, made, failed] = String((await said)[0])
      .trim()
      .split(" ")
      .map(Number);
    assert.ok((made ?? 0) > 50, `${made} connections`);
    assert.equal(failed, 0, `of ${made} connections`);
  });

  test("UDP flows leave an endpoint that is gone", async () => {
    const udp = { ports: [{ port: 53, protocol: "UDP" as const }] };
    const ports = { ports: [{ name: "", protocol: "UDP" as const, port: 8080 }] };
    await api.put(services, service("udp", "10.78.0.15", udp));
    await api.put(endpointSlices, slice("udp", [0], 8080, ports));
    const client = await lab.node(
      pods[1]!.name,
      `const s = require("node:dgram").createSocket("udp4"); s.bind(40000, () => { s.on("message", (m) => console.log(String(m)));
       setInterval(() => s.send("?", 53, "10.78.0.15", () => {}), 50); });`,
    );
    let last = "";
    client.stdout!.on("data", (data: Buffer) => {
      last = String(data).trim().split("\n").at(-1) ?? "";
    });
    await until("first", async () => last === "pod0");
    await api.put(endpointSlices, slice("udp", [1], 8080, ports));
    await until("moved", async () => last === "pod1");
    client.kill("SIGKILL");
  });

  test("UDP flows to a node port leave an endpoint that is gone, too", async () => {
    const ports = { ports: [{ name: "", protocol: "UDP" as const, port: 8080 }] };
    const udp: Service["spec"] = { type: "NodePort", ports: [{ port: 53, nodePort: 30053, protocol: "UDP" }] };
    await api.put(services, service("udp-out", "10.78.0.17", udp));
    await api.put(endpointSlices, slice("udp-out", [0], 8080, ports));
    const client = await lab.node(
      outside.name,
      `const s = require("node:dgram").createSocket("udp4"); s.bind(40001, () => { s.on("message", (m) => console.log(String(m)));
       setInterval(() => s.send("?", 30053, "192.168.77.1", () => {}), 50); });`,
    );
    let last = "";
    client.stdout!.on("data", (data: Buffer) => {
      last = String(data).trim().split("\n").at(-1) ?? "";
    });
    await until("first", async () => last === "pod0");
    await api.put(endpointSlices, slice("udp-out", [1], 8080, ports));
    await until("moved", async () => last === "pod1");
    client.kill("SIGKILL");
  });

  test("rules removed by somebody else come back, and removal leaves nothing", async () => {
    await mustRun(host.run, "nft", ["flush", "ruleset"]);
    await api.put(endpointSlices, slice("web", [1], 8080));
    await until("again", async () => (await get(host.run, "http://10.78.0.10/")).startsWith("pod1"));
    stop.abort();
    await proxy.stopped;
    await createNftTable(`ip ${TABLE}`, host.run).remove();
    assert.equal((await mustRun(host.run, "nft", ["list", "ruleset"])).trim(), "");
  });
});

test("what is missing is said", async () => {
  const run: RunProgram = (program, args, options) =>
    program === "nft" ? Promise.resolve({ code: 127, stdout: "", stderr: "" }) : runProgram(program, args, options);
  await assert.rejects(
    prepareNodeNetwork({ bridge: "x", podCIDR: "10.0.0.0/24", serviceCIDR: "10.1.0.0/16", run }),
    /nft is not installed: apt-get install nftables/,
  );
});
