/** Pods of two tenants and three namespaces on one node, really connecting: network namespaces on a bridge, rules in the kernel. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { NetworkPolicySpec } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { TENANT_ANNOTATION } from "#sdk/client/port.ts";
import { prepareNodeNetwork } from "../host/prepare.ts";
import { mustRun, type RunProgram } from "../host/program.ts";
import { createNftTable } from "../nft/table.ts";
import { pods as podsResource } from "../objects.ts";
import { cannotRunLab, createLab, joinBridge, until } from "../testing/lab.ts";
import { createObjectApi } from "../testing/objects.ts";
import { networkPolicies, POD_NETWORK, type RunningPolicies, startPolicies } from "./policies.ts";

const skip = await cannotRunLab();
const BRIDGE = "captest1";
const NODE = "node-1";
const namespaces = { group: "", version: "v1", resource: "namespaces" };
const tenants = { group: "capstan.dev", version: "v1", resource: "tenants" };

/** name → tenant, namespace, last octet */
const PODS = {
  client: ["root", "x", 10],
  server: ["root", "x", 11],
  near: ["root", "y", 12],
  other: ["root", "z", 13],
  stranger: ["blue", "x", 14],
  neighbour: ["blue", "x", 15],
} as const;
type Name = keyof typeof PODS;
const NAMES = Object.keys(PODS) as Name[];
const address = (name: Name) => `10.79.0.${PODS[name][2]}`;
/** TCP and UDP on three ports: a datagram or a connection is answered with "yes". */
const server = `
  const ports = [80, 81, 8080];
  Promise.all(ports.flatMap((port) => [
    new Promise((done) => require("node:net").createServer((s) => { s.on("error", () => undefined); s.end("yes"); }).listen(port, "0.0.0.0", done)),
    new Promise((done) => { const u = require("node:dgram").createSocket("udp4"); u.on("message", (m, f) => u.send("yes", f.port, f.address)); u.bind(port, done); }),
  ])).then(() => console.log("ready"));`;

describe("network policies", { skip: skip ?? false }, () => {
  const lab = createLab();
  const api = createObjectApi();
  const stop = new AbortController();
  const run = {} as Record<Name | "host", RunProgram>;
  let policies: RunningPolicies;

  const inTenant = (tenant: string) => ({ annotations: { [TENANT_ANNOTATION]: tenant } });
  const podObject = (name: Name, labels: Record<string, string> = { app: name }): KubeObject => {
    const [tenant, namespace] = PODS[name];
    const containers = [{ name: "c", ports: [{ name: "web", containerPort: name === "near" ? 81 : 80 }] }];
    return {
      metadata: { name, namespace, labels, ...inTenant(tenant) },
      ...{ spec: { nodeName: NODE, containers }, status: { podIP: address(name) } },
    };
  };
  const policy = (spec: NetworkPolicySpec, name = "one", tenant = "root"): KubeObject => ({
    metadata: { name, namespace: "x", ...inTenant(tenant) },
    ...{ spec },
  });
  const connects = async (from: Name | "host", to: Name, port = 80, protocol: "tcp" | "udp" = "tcp") => {
    const where = `/dev/${protocol}/${address(to)}/${port}`;
    const script = `exec 3<>${where} && echo hi >&3 && head -c 3 <&3`;
    const { stdout } = await run[from]("timeout", ["0.4", "bash", "-c", script]);
    return stdout === "yes";
  };
  /** Who reaches whom, as "client>server". */
  const expect = async (what: string, wanted: Record<string, boolean>, protocol: "tcp" | "udp" = "tcp") => {
    for (const [way, yes] of Object.entries(wanted)) {
      const [from = "", target = ""] = way.split(">");
      const [to = "", port = "80"] = target.split(":");
      await until(
        `${what}: ${way} ${protocol} is ${yes ? "let through" : "dropped"}`,
        async () => (await connects(from as Name | "host", to as Name, Number(port), protocol)) === yes,
        5_000,
      );
    }
  };
  const withPolicy = async (spec: NetworkPolicySpec, check: () => Promise<void>) => {
    await api.put(networkPolicies, policy(spec));
    await check();
    await api.remove(networkPolicies, policy(spec));
  };
  const select = (app: string) => ({ podSelector: { matchLabels: { app } } });

  before(async () => {
    const host = await lab.namespace("policies");
    run.host = host.run;
    const prepared = await prepareNodeNetwork({
      bridge: BRIDGE,
      podCIDR: "10.79.0.0/24",
      serviceCIDR: "10.80.0.0/16",
      run: host.run,
    });
    for (const name of NAMES) {
      const pod = await lab.namespace(name);
      run[name] = pod.run;
      const at = { link: `p${name}`, bridge: BRIDGE, address: address(name), gateway: prepared.gateway };
      await joinBridge(host.run, pod, at);
      await lab.node(pod.name, server);
      await api.put(podsResource, podObject(name));
    }
    for (const [tenant, name] of [
      ["root", "x"],
      ["root", "y"],
      ["root", "z"],
      ["blue", "x"],
    ] as const)
      await api.put(namespaces, { metadata: { name, labels: { zone: name }, ...inTenant(tenant) } });
    await api.put(tenants, { metadata: { name: "blue" }, ...{ spec: {} } });
    policies = startPolicies({
      client: api.client,
      log: silentLog,
      signal: stop.signal,
      run: host.run,
      settings: {
        table: "capstan_test_policy",
        nodeName: NODE,
        nodePodCIDR: "10.79.0.0/24",
        podCIDR: "10.79.0.0/16",
        serviceCIDR: "10.80.0.0/16",
      },
    });
    await policies.ready;
  });
  after(async () => {
    stop.abort();
    await policies?.stopped;
    await lab.close();
  });

  test("pods of a tenant reach each other, those of another reach nobody's but their own", async () => {
    await expect("open", { "client>server": true, "other>server": true, "host>server": true, "server>client": true });
    await expect("tenants", { "stranger>neighbour": true, "stranger>server": false, "server>stranger": false });
    await expect("datagrams", { "client>server": true, "stranger>server": false }, "udp");
  });

  test("root's exception opens a tenant's pods to root's and theirs to it, until it is taken back", async () => {
    await api.put(tenants, { metadata: { name: "blue" }, ...{ spec: { exceptions: [POD_NETWORK] } } });
    await expect("granted", { "stranger>server": true, "server>stranger": true });
    await api.put(tenants, { metadata: { name: "blue" }, ...{ spec: {} } });
    await expect("taken back", { "stranger>server": false, "server>stranger": false });
  });

  test("a policy without rules isolates what it selects, for new connections in its direction; the node still reaches it", async () => {
    await withPolicy({ ...select("server"), policyTypes: ["Ingress"] }, () =>
      expect("ingress", { "client>server": false, "host>server": true, "server>client": true, "client>near": true }),
    );
    await withPolicy({ podSelector: {}, policyTypes: ["Egress"] }, () =>
      expect("egress", { "client>server": false, "other>server": true, "client>near": false }),
    );
    await expect("gone", { "client>server": true });
  });

  test("a tenant's policy of the same name and namespace is another one", async () => {
    await api.put(networkPolicies, policy({ podSelector: {}, policyTypes: ["Ingress"] }, "one", "blue"));
    await expect("blue's", { "stranger>neighbour": false, "client>server": true });
    await api.remove(networkPolicies, policy({}, "one", "blue"));
    await expect("gone", { "stranger>neighbour": true });
  });

  test("peers are pods by label, namespaces by label, both together, and labels may change", async () => {
    await withPolicy({ ...select("server"), ingress: [{ from: [select("client")] }] }, async () => {
      await expect("pods of the namespace", { "client>server": true, "near>server": false, "server>server": true });
      await api.put(podsResource, podObject("client", { app: "changed" }));
      await expect("a label that changed", { "client>server": false });
      await api.put(podsResource, podObject("client"));
      await expect("and changed back", { "client>server": true });
    });
    const zone = (key: string) => ({ namespaceSelector: { matchLabels: { zone: key } } });
    await withPolicy({ ...select("server"), ingress: [{ from: [zone("y")] }] }, async () => {
      await expect("a namespace", { "near>server": true, "client>server": false, "other>server": false });
      await api.put(namespaces, { metadata: { name: "z", labels: { zone: "y" }, ...inTenant("root") } });
      await expect("its labels changed", { "other>server": true });
      await api.put(namespaces, { metadata: { name: "z", labels: { zone: "z" }, ...inTenant("root") } });
      await expect("and changed back", { "other>server": false });
    });
    await withPolicy({ ...select("server"), ingress: [{ from: [{ ...zone("y"), ...select("nobody") }] }] }, () =>
      expect("both", { "near>server": false }),
    );
    await withPolicy({ ...select("client"), egress: [{ to: [select("server"), zone("z")] }] }, () =>
      expect("egress", { "client>server": true, "client>other": true, "client>near": false }),
    );
  });

  test("blocks of addresses with exceptions, for IPv4 packets only", async () => {
    const cidr = "10.79.0.0/24";
    const except = [`${address("near")}/32`, "10.79.0.13/32"];
    await withPolicy({ ...select("server"), ingress: [{ from: [{ ipBlock: { cidr, except } }] }] }, () =>
      expect("block", { "client>server": true, "near>server": false, "other>server": false }),
    );
    await withPolicy({ ...select("server"), ingress: [{ from: [{ ipBlock: { cidr: "fd00::/8" } }] }] }, () =>
      expect("another family's", { "client>server": false }),
    );
  });

  test("ports by number, range, protocol and name", async () => {
    const from = (ports: NonNullable<NonNullable<NetworkPolicySpec["ingress"]>[0]["ports"]>) => ({
      ...select("server"),
      ingress: [{ ports }],
    });
    await withPolicy(from([{ port: 81, protocol: "TCP" }]), async () => {
      await expect("number", { "client>server:81": true, "client>server": false });
      await expect("of TCP only", { "client>server:81": false }, "udp");
    });
    await withPolicy(from([{ port: 81, endPort: 9000, protocol: "TCP" }, { port: 8000 }]), () =>
      expect("range", { "client>server:81": true, "client>server:8080": true, "client>server:80": false }),
    );
    await withPolicy(from([{ protocol: "UDP" }]), async () => {
      await expect("a whole protocol", { "client>server": true }, "udp");
      await expect("and no other", { "client>server": false });
    });
    await withPolicy(from([{ port: "web", protocol: "TCP" }]), () =>
      expect("name", { "client>server:80": true, "client>server:81": false }),
    );
    await withPolicy({ ...select("client"), egress: [{ ports: [{ port: "web" }] }] }, () =>
      expect("the destination's name", {
        "client>server:80": true,
        "client>near:80": false,
        "client>near:81": true,
        "client>server:8080": false,
      }),
    );
  });

  test("policies add up", async () => {
    await api.put(networkPolicies, policy({ ...select("server"), ingress: [{ from: [select("client")] }] }, "two"));
    await withPolicy({ podSelector: {}, policyTypes: ["Ingress"] }, () =>
      expect("both", { "client>server": true, "near>server": false, "server>client": false }),
    );
    await expect("one is left", { "server>client": true, "near>server": false });
    await api.remove(networkPolicies, policy({}, "two"));
  });

  test("an address is closed until it is known whose it is; a pod that is placed has its policies before it starts", async () => {
    await api.put(networkPolicies, policy({ podSelector: {}, policyTypes: ["Ingress"] }));
    await api.remove(podsResource, podObject("server"));
    await expect("nobody's", { "server>near": false });
    const tenant = "root";
    await policies.place({ key: "root/x/server", uid: "new", tenant, address: address("server") });
    assert.equal(await connects("client", "server"), false);
    assert.equal(await connects("server", "near"), false);
    assert.equal(await connects("host", "server"), true);
    const { metadata, ...rest } = podObject("server");
    await api.put(podsResource, { metadata: { ...metadata, uid: "new" }, ...rest, ...{ status: {} } });
    await expect("known by the API, without its address there", { "server>near": true, "client>server": false });
    await api.remove(networkPolicies, policy({}));
    await expect("without policies", { "client>server": true });
    policies.unplace("new");
    await expect("its address is free again", { "server>near": false });
    await api.put(podsResource, podObject("server"));
    await expect("and taken again", { "server>near": true });
  });

  test("rules removed by somebody else come back, whole; removal leaves nothing", async () => {
    await mustRun(run.host, "nft", ["flush", "ruleset"]);
    await api.put(networkPolicies, policy({ ...select("server"), policyTypes: ["Ingress"] }));
    await expect("again", { "client>server": false, "stranger>other": false });
    stop.abort();
    await policies.stopped;
    await createNftTable("ip capstan_test_policy", run.host).remove();
    assert.equal((await mustRun(run.host, "nft", ["list", "ruleset"])).trim(), "");
  });
});
