/** Who reaches whom among the pods of one instance: tenants are closed to each other, NetworkPolicies open and close within one. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { run } from "#platform/main/run.ts";
import { instanceOf } from "#platform/main/settings.ts";
import { networkNames } from "#platform/network/names.ts";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";

const TENANT = "acme";

describe("pods of two tenants and two namespaces", { skip: skipWithoutNode }, () => {
  let capstan: Instance;
  let serverAddress = "";
  const config = () => join(capstan.dataDir, `${TENANT}.kubeconfig`);
  const inTenant = async (...args: string[]): Promise<string> => {
    const options = ["--kubeconfig", config(), "--cache-dir", join(capstan.dataDir, "cache")];
    const { code, stdout, stderr } = await run("kubectl", [...options, ...args], { timeoutMs: 120_000 });
    assert.equal(code, 0, `kubectl ${args.join(" ")}\n${stderr}`);
    return stdout;
  };
  const write = (name: string, object: object): string => {
    const path = join(capstan.dataDir, `${name}.json`);
    writeFileSync(path, JSON.stringify(object));
    return path;
  };
  const podFile = (name: string, namespace: string) =>
    write(`pod-${name}`, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace, labels: { app: name } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{ name: "c", image: "capstan.dev/hello:1", ports: [{ name: "http", containerPort: 8080 }] }],
      },
    });
  const FROM = {
    neighbour: ["-n", "shop", "neighbour"],
    elsewhere: ["-n", "default", "elsewhere"],
    stranger: ["-n", "default", "stranger"],
  } as const;
  const exec = (from: keyof typeof FROM, command: string) => {
    const [flag, namespace, pod] = FROM[from];
    const args = ["exec", flag, namespace, pod, "--", "sh", "-c", `${command} && echo yes || echo no`];
    return from === "stranger" ? inTenant(...args) : capstan.kubectl(...args);
  };
  /** Whether a connection is made, whatever is answered. */
  const reaches = async (from: keyof typeof FROM, to: string) =>
    (await exec(from, `nc -w 1 ${to} </dev/null >/dev/null`)).includes("yes");
  const settles = async (what: string, wanted: Partial<Record<keyof typeof FROM, boolean>>, to: string) => {
    for (const [from, yes] of Object.entries(wanted) as [keyof typeof FROM, boolean][])
      await eventually(`${what}: ${from} ${yes ? "reaches" : "does not reach"} ${to}`, async () => {
        return (await reaches(from, to)) === yes;
      });
  };

  before(async () => {
    capstan = await startInstance();
    const made = await capstan.capstan("tenant", "create", TENANT);
    assert.equal(made.code, 0, made.stderr);
    writeFileSync(config(), made.stdout, { mode: 0o600 });
    await capstan.kubectl("create", "namespace", "shop");
    for (const namespace of ["shop", "default"])
      await eventually(`the account of ${namespace}`, async () =>
        (await capstan.kubectl("get", "serviceaccounts", "-n", namespace, "-o", "name")).includes("default"),
      );
    await eventually("the tenant's account", async () =>
      (await inTenant("get", "serviceaccounts", "-o", "name")).includes("default"),
    );
    await capstan.kubectl("apply", "-f", podFile("server", "shop"), "-f", podFile("neighbour", "shop"));
    await capstan.kubectl("apply", "-f", podFile("elsewhere", "default"));
    await inTenant("apply", "-f", podFile("stranger", "default"));
    await capstan.kubectl("expose", "pod/server", "-n", "shop", "--port=80", "--target-port=8080");
    const ready = ["wait", "--for=condition=Ready", "--timeout=90s", "pod", "--all"];
    await capstan.kubectl(...ready, "-n", "shop");
    await capstan.kubectl(...ready, "-n", "default");
    await inTenant(...ready);
    const address = ["get", "pod/server", "-n", "shop", "-o", "jsonpath={.status.podIP}"];
    serverAddress = await capstan.kubectl(...address);
  });
  after(async () => {
    await capstan?.remove();
  });

  it("a tenant's pod reaches neither another tenant's pod nor its service, but names and its own API", async () => {
    const service = await capstan.kubectl("get", "service/server", "-n", "shop", "-o", "jsonpath={.spec.clusterIP}");
    for (const to of [`${serverAddress} 8080`, `${service} 80`]) {
      await settles("one tenant", { neighbour: true, elsewhere: true }, to);
      await settles("another", { stranger: false }, to);
    }
    for (const [from, command] of [
      ["stranger", "nslookup kubernetes.default.svc.cluster.local"],
      ["stranger", "nc -w 2 kubernetes.default.svc.cluster.local 443 </dev/null"],
      ["elsewhere", "nslookup server.shop.svc.cluster.local"],
    ] as const)
      await eventually(`${from}: ${command}`, async () => (await exec(from, command)).includes("yes"));
  });

  it("a tenant's endpoints cannot lead to another tenant's pod", async () => {
    const metadata = { name: "stolen", labels: { "kubernetes.io/service-name": "server" } };
    const slice = {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata,
      addressType: "IPv4",
      ports: [{ port: 8080, protocol: "TCP" }],
      endpoints: [{ addresses: [serverAddress], conditions: { ready: true } }],
    };
    const file = write("stolen-slice", slice);
    const refused = await run("kubectl", ["--kubeconfig", config(), "apply", "-f", file], { timeoutMs: 60_000 });
    assert.match(refused.stderr, /is another tenant's pod \(podNetwork\)/);
  });

  it("each pod sends by its own address only", async () => {
    const { guardTable } = networkNames(instanceOf(capstan.dataDir));
    const { stdout } = await run("nft", ["list", "set", "bridge", guardTable, "addresses"], { timeoutMs: 10_000 });
    assert.ok(stdout.includes(serverAddress), stdout);
    assert.equal(stdout.match(/"veth/g)?.length, 4, "one for each pod");
  });

  it("a NetworkPolicy lets in whom it selects and nobody else, until it is gone", async () => {
    const policy = {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "server", namespace: "shop" },
      spec: {
        podSelector: { matchLabels: { app: "server" } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: "neighbour" } } }], ports: [{ port: "http" }] }],
      },
    };
    const to = `${serverAddress} 8080`;
    await capstan.kubectl("apply", "-f", write("policy", policy));
    await settles("isolated", { elsewhere: false, neighbour: true }, to);
    await capstan.kubectl("delete", "networkpolicy/server", "-n", "shop");
    await settles("open again", { elsewhere: true, neighbour: true }, to);
  });

  it("root opens a tenant's pods to its own, and closes them again", async () => {
    const to = `${serverAddress} 8080`;
    const grant = (exceptions: string[]) =>
      capstan.kubectl("patch", "tenant", TENANT, "--type=merge", "-p", JSON.stringify({ spec: { exceptions } }));
    await grant(["podNetwork"]);
    await settles("granted", { stranger: true }, to);
    await grant([]);
    await settles("taken back", { stranger: false }, to);
  });
});
