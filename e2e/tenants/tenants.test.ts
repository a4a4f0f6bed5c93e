/** Two tenants of one instance, each with its owner's kubeconfig: each a whole cluster, and neither anything in the other. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { nodeImpossible } from "#platform/main/host.ts";
import { type Finished, run } from "#platform/main/run.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { eventually, type Instance, skipWithoutKubectl, startInstance } from "../support/instance.ts";
import { rawApi } from "../support/raw-api.ts";
import { attemptsOn, caller, discovery, type Holder, holdings, unrefused } from "./attempts.ts";

const NAMES = ["acme", "globex"] as const;
type Name = (typeof NAMES)[number];
const other = (name: Name): Name => (name === "acme" ? "globex" : "acme");

const podYaml = (name: string, spec: object) =>
  JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata: { name }, spec });
const container = (more: object = {}) => ({ name: "c", image: "capstan.dev/hello:1", ...more });
const withoutNode = nodeImpossible() ?? false;
/** A kind with the subresources that custom ones can have. */
const widgets = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "widgets.example.com" },
  spec: {
    group: "example.com",
    scope: "Namespaced",
    names: { plural: "widgets", kind: "Widget" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        subresources: {
          status: {},
          scale: { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas" },
        },
      },
    ],
  },
};

describe("two tenants", { skip: skipWithoutKubectl }, () => {
  let capstan: Instance;
  const file = (name: string) => join(capstan.dataDir, `${name}.kubeconfig`);
  const as = (config: string, ...args: string[]): Promise<Finished> =>
    run("kubectl", ["--kubeconfig", config, "--cache-dir", join(capstan.dataDir, "cache", config), ...args], {
      timeoutMs: 120_000,
    });
  const must = async (name: string, ...args: string[]): Promise<string> => {
    const result = await as(file(name), ...args);
    assert.equal(result.code, 0, `${name}: kubectl ${args.join(" ")}\n${result.stderr}`);
    return result.stdout;
  };
  const write = (name: string, text: string): string => {
    const path = join(capstan.dataDir, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  async function makeTenant(name: string): Promise<void> {
    const made = await capstan.capstan("tenant", "create", name);
    assert.equal(made.code, 0, made.stderr);
    write(`${name}.kubeconfig`, made.stdout);
    await eventually(`the default account of ${name}`, async () =>
      (await must(name, "get", "serviceaccounts", "-o", "name")).includes("default"),
    );
  }
  const server = (name: string) => `${capstan.apiUrl}/tenants/${name}`;
  const token = async (name: Name) => (await must(name, "create", "token", "robot")).trim();
  /** kubectl with a bearer token and nothing else. */
  const withToken = (bearer: string, ...args: string[]) => {
    const empty = write("empty.kubeconfig", "apiVersion: v1\nkind: Config\n");
    return as(empty, "--insecure-skip-tls-verify", "--token", bearer, ...args);
  };

  before(async () => {
    capstan = await startInstance(withoutNode ? { nodes: 0 } : {});
    for (const name of NAMES) {
      await makeTenant(name);
      await must(name, "create", "configmap", "mine", `--from-literal=whose=${name}`);
      await must(name, "create", "secret", "generic", "mine", `--from-literal=whose=${name}`);
      await must(name, "create", "serviceaccount", "robot");
      await must(
        name,
        "create",
        "clusterrolebinding",
        "robot",
        "--clusterrole=cluster-admin",
        "--serviceaccount=default:robot",
      );
    }
  });
  after(async () => {
    await capstan?.remove();
  });

  it("each is a cluster of its own, whole from its first moment", async () => {
    for (const name of NAMES) {
      assert.equal(await must(name, "get", "configmap", "mine", "-o", "jsonpath={.data.whose}"), name);
      assert.match(await must(name, "get", "namespaces", "-o", "name"), /namespace\/kube-system/);
      assert.match(await must(name, "auth", "can-i", "create", "deployments"), /^yes/);
      assert.match(await must(name, "auth", "whoami"), new RegExp(`${name}-admin`));
      await must(name, "create", "namespace", "same-name");
      await must(name, "create", "role", "reader", "--verb=get", "--resource=pods", "-n", "same-name");
    }
    assert.equal((await capstan.tryKubectl("get", "namespace", "same-name")).code, 1);
    assert.match((await capstan.capstan("tenant", "list")).stdout, /^acme\t\d+$/m);
  });

  it("the other's certificate and token are nobody: no verb, watch, subresource or token works", async () => {
    const tries = [
      ["get", "configmaps"],
      ["get", "configmap", "mine"],
      ["get", "secrets", "-A"],
      ["get", "pods", "--watch", "--request-timeout=5s"],
      ["get", "nodes"],
      ["get", "clusterroles"],
      ["create", "configmap", "planted"],
      ["create", "token", "robot"],
      ["delete", "configmap", "mine"],
      ["patch", "configmap", "mine", "-p", '{"data":{"whose":"me"}}'],
      ["label", "configmap", "mine", "a=b"],
      ["scale", "deployment", "x", "--replicas=0"],
      ["auth", "can-i", "--list"],
    ];
    // Not by kubectl --raw, which leaves out the server's path and so would ask the credential's own tenant.
    const pod = "/api/v1/namespaces/default/pods/x";
    const paths = [
      ...["/api", "/apis", "/openapi/v2", "/openapi/v3", "/metrics", "/openid/v1/jwks"],
      ...[`${pod}/log`, `${pod}/exec?command=id`, `${pod}/attach`, `${pod}/portforward?ports=80`, `${pod}/proxy/`],
      ...["/api/v1/namespaces/default/services/x/proxy/", "/api/v1/nodes/node-1/proxy/pods"],
      ...["/api/v1/secrets?watch=1", "/apis/capstan.dev/v1/tenants", "/apis/capstan.dev/v1/plugins"],
    ];
    for (const name of NAMES) {
      const bearer = await token(name);
      const foreign = ["", other(name), "root", "*"].map((where) => (where ? server(where) : ""));
      for (const url of foreign.slice(1)) {
        // kubectl takes --raw as the whole path: it leaves the server's own prefix away.
        const prefix = new URL(url).pathname.replace(/\/$/, "");
        for (const words of tries) {
          const args = words.map((word) => (word.startsWith("/") ? `${prefix}${word}` : word));
          const byCertificate = await as(file(name), "--server", url, ...args);
          assert.notEqual(byCertificate.code, 0, `${name}'s certificate at ${url}: ${args.join(" ")}`);
          assert.match(byCertificate.stderr, /forbidden|Forbidden|Unauthorized|logged in/i, `${url} ${args.join(" ")}`);
        }
        const raw = rawApi(file(name), url);
        for (const path of paths) {
          const { code } = await raw.send("GET", path);
          assert.ok(code === 401 || code === 403, `${name}'s certificate: ${code} at ${url}${path}`);
        }
        raw.close();
        for (const args of tries.slice(0, 4)) {
          const byToken = await withToken(bearer, "--server", url, ...args);
          assert.notEqual(byToken.code, 0, `${name}'s token at ${url}: ${args.join(" ")}`);
        }
      }
    }
    for (const name of NAMES)
      assert.equal(await must(name, "get", "configmap", "mine", "-o", "jsonpath={.data.whose}"), name);
  });

  it("no verb on any kind or subresource of discovery is open to the other's credentials, nor does one leave a trace", {
    timeout: 300_000,
  }, async () => {
    const { ca = "", cert = "", key = "" } = loadKubeconfig(file("acme"));
    const root = caller(capstan.apiUrl, loadKubeconfig(capstan.kubeconfig) as Holder);
    const owner = caller(server("globex"), loadKubeconfig(file("globex")) as Holder);
    const definition = write("crd.json", JSON.stringify(widgets));
    await must("globex", "create", "-f", definition);
    await must("globex", "wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s");
    // Registered by the server a moment after the definition: no trace of anybody's.
    await eventually("the group's APIService", () => must("globex", "get", "apiservice", "v1.example.com"));
    const theirs = await discovery(owner);
    assert.ok(theirs.some(({ groupVersion }) => groupVersion === "example.com/v1"));
    const attempts = attemptsOn(theirs);
    const before = await holdings(owner, theirs);
    // The paths lead somewhere: their owner is let in everywhere.
    const reads = attempts.filter(({ method, path }) => method === "GET" && !/watch|\?|mine|proxy/.test(path));
    assert.deepEqual(await unrefused(owner, reads, [200, 405]), []);
    const holders: Holder[] = [
      { ca, cert, key },
      { ca, token: await token("acme") },
    ];
    for (const holder of holders) {
      for (const [where, tries] of [
        [server("globex"), attempts],
        [server("root"), attemptsOn(await discovery(root))],
        [server("*"), attempts],
      ] as const) {
        const intruder = caller(where, holder);
        assert.deepEqual(
          await unrefused(intruder, tries, [401, 403]),
          [],
          `${holder.token ? "token" : "cert"} at ${where}`,
        );
        intruder.close();
      }
    }
    const after = await holdings(owner, theirs);
    assert.deepEqual([...new Set(before).symmetricDifference(new Set(after))], []);
    owner.close();
    root.close();
  });

  it("a token or certificate without a prefix finds its own tenant", async () => {
    for (const name of NAMES) {
      const whose = ["get", "configmap", "mine", "-n", "default", "-o", "jsonpath={.data.whose}"];
      assert.equal((await withToken(await token(name), "--server", capstan.apiUrl, ...whose)).stdout, name);
      assert.equal((await as(file(name), "--server", capstan.apiUrl, ...whose)).stdout, name);
    }
  });

  it("a token is reviewed as good by its own tenant only, and each has a key of its own", async () => {
    const bearer = await token("acme");
    const body = JSON.stringify({
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token: bearer },
    });
    const reviewed = async (name: string) => {
      const api = rawApi(name === "root" ? capstan.kubeconfig : file(name));
      const answer = await api.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body);
      api.close();
      return (JSON.parse(answer.text) as { status: { authenticated?: boolean } }).status.authenticated === true;
    };
    assert.deepEqual([await reviewed("acme"), await reviewed("globex"), await reviewed("root")], [true, false, false]);
    const keys = await Promise.all(NAMES.map((name) => must(name, "get", "--raw", "/openid/v1/jwks")));
    assert.notEqual(keys[0], keys[1]);
    assert.ok(![keys[0], keys[1]].includes(await capstan.kubectl("get", "--raw", "/openid/v1/jwks")));
  });

  it("nodes and storage classes are seen and not changed; tenants, plugins and node identities are root's", async () => {
    const nodes = await must("acme", "get", "nodes", "-o", "json");
    assert.equal((JSON.parse(nodes) as { items: unknown[] }).items.length, withoutNode ? 0 : 1);
    assert.doesNotMatch(nodes, /"images"/);
    await must("acme", "get", "storageclasses");
    await must("acme", "get", "priorityclasses");
    const class_ = { apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata: { name: "x" }, provisioner: "x" };
    for (const args of [
      ["label", "nodes", "--all", "a=b"],
      ["delete", "nodes", "--all"],
      ["create", "-f", write("class.json", JSON.stringify(class_))],
      ["create", "-f", write("tenant.json", '{"apiVersion":"capstan.dev/v1","kind":"Tenant","metadata":{"name":"x"}}')],
    ]) {
      const result = await as(file("acme"), ...args);
      const none = withoutNode && args.includes("--all");
      if (!none) assert.match(result.stderr, /forbidden/i, args.join(" "));
    }
  });

  it("pods that would cross the boundary are refused, whatever the tenant's own objects say; root's exceptions hold", async () => {
    await must("acme", "label", "namespace", "default", "pod-security.kubernetes.io/enforce=privileged");
    const crossing: Record<string, object> = {
      privileged: { containers: [container({ securityContext: { privileged: true } })] },
      hostNamespaces: { hostNetwork: true, containers: [container()] },
      hostPath: { volumes: [{ name: "v", hostPath: { path: "/" } }], containers: [container()] },
      capabilities: { containers: [container({ securityContext: { capabilities: { add: ["SYS_ADMIN"] } } })] },
      hostPorts: { containers: [container({ ports: [{ containerPort: 80, hostPort: 80 }] })] },
      sysctls: { securityContext: { sysctls: [{ name: "kernel.msgmax", value: "1" }] }, containers: [container()] },
      priority: { priorityClassName: "system-node-critical", containers: [container()] },
    };
    for (const [rule, spec] of Object.entries(crossing)) {
      const result = await as(
        file("acme"),
        "create",
        "-f",
        write("pod.json", podYaml(`bad-${rule.toLowerCase()}`, spec)),
      );
      assert.match(result.stderr, new RegExp(`tenants share nodes: .*\\(${rule}\\)`), rule);
    }
    const service = { ports: [{ port: 80 }], externalIPs: ["192.0.2.200"] };
    const text = JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name: "grab" }, spec: service });
    assert.match((await as(file("acme"), "create", "-f", write("service.json", text))).stderr, /\(externalIPs\)/);
    await capstan.kubectl("patch", "tenant", "globex", "--type=merge", "-p", '{"spec":{"exceptions":["hostPorts"]}}');
    await must(
      "globex",
      "create",
      "--dry-run=server",
      "-f",
      write("port.json", podYaml("port", crossing["hostPorts"] ?? {})),
    );
    const still = await as(file("globex"), "create", "-f", write("p.json", podYaml("p", crossing["privileged"] ?? {})));
    assert.match(still.stderr, /\(privileged\)/);
  });

  it("pods of both run on the same node, and each finds its own cluster by host and port", {
    skip: withoutNode,
  }, async () => {
    const spec = { serviceAccountName: "robot", containers: [container()] };
    for (const name of NAMES) await must(name, "create", "-f", write("web.json", podYaml("web", spec)));
    const nodes = new Set<string | undefined>();
    for (const name of NAMES) {
      await must(name, "wait", "--for=condition=Ready", "pod/web", "--timeout=90s");
      nodes.add((JSON.parse(await must(name, "get", "pod", "web", "-o", "json")) as Pod).spec?.nodeName);
      assert.match(await must(name, "exec", "web", "--", "hostname"), /web/);
      const mounted = await must(
        name,
        "exec",
        "web",
        "--",
        "cat",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
      );
      // As a client in the pod: the host and port of its environment, its token, and the authority it trusts.
      const said = await must(
        name,
        "exec",
        "web",
        "--",
        "sh",
        "-c",
        "echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT",
      );
      const ca = await must(name, "exec", "web", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
      const inside = caller(`https://${said.trim()}`, { ca, token: mounted.trim() });
      const found = await inside.json<{ data: unknown }>("/api/v1/namespaces/default/configmaps/mine");
      inside.close();
      assert.deepEqual(found.data, { whose: name });
    }
    assert.equal(nodes.size, 1);
  });

  it("a deleted tenant is gone with all it had, and its name's next holder is another", async () => {
    const bearer = await token("acme");
    const oldId = /^acme\t(\d+)$/m.exec((await capstan.capstan("tenant", "list")).stdout)?.[1];
    assert.equal((await capstan.capstan("tenant", "delete", "acme")).code, 0);
    assert.notEqual((await as(file("acme"), "get", "configmaps")).code, 0);
    assert.notEqual((await withToken(bearer, "--server", capstan.apiUrl, "get", "configmaps")).code, 0);
    const left = await capstan.kubectl("get", "--raw", "/tenants/*/api/v1/configmaps");
    assert.doesNotMatch(left, /"whose":"acme"/);
    const kept = write("old-acme.kubeconfig", (await run("cat", [file("acme")])).stdout);
    await makeTenant("acme");
    assert.notEqual(/^acme\t(\d+)$/m.exec((await capstan.capstan("tenant", "list")).stdout)?.[1], oldId);
    assert.equal((await as(file("acme"), "get", "configmap", "mine")).code, 1);
    assert.notEqual((await as(kept, "get", "configmaps")).code, 0);
    assert.equal(await must("globex", "get", "configmap", "mine", "-o", "jsonpath={.data.whose}"), "globex");
  });
});
