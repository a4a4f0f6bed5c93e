/** The API server over a real PostgreSQL, spoken to by the project's own client. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { freePort, type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import type { ComponentStatus, Service } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { until } from "#sdk/testing/until.ts";
import { type Config, paths } from "../config.ts";
import { ensurePki } from "../pki.ts";
import type { RunningRole } from "../role.ts";
import { start } from "./apiserver.ts";

const CONFIGMAPS = { group: "", version: "v1", resource: "configmaps" };
const PODS = { group: "", version: "v1", resource: "pods" };
const NODES = { group: "", version: "v1", resource: "nodes" };
const PLUGINS = { group: "capstan.dev", version: "v1", resource: "plugins" };
const TENANTS = { group: "capstan.dev", version: "v1", resource: "tenants" };
const SERVICES = { group: "", version: "v1", resource: "services" };
const ACCOUNTS = { group: "", version: "v1", resource: "serviceaccounts" };

let database: TestDatabase;
let dataDir: string;
let role: RunningRole;
const clients: Record<string, Client> = {};

before(async () => {
  database = await withTestDatabase();
  dataDir = mkdtempSync(join(tmpdir(), "capstan-api-"));
  const config: Config = {
    dataDir,
    instance: "000000",
    api: { host: "127.0.0.1", port: await freePort() },
    console: { host: "127.0.0.1", port: 0 },
    databaseUrl: database.url,
    serviceCIDR: "10.96.0.0/24",
    podCIDR: "10.244.0.0/16",
    dns: { domain: "cluster.local", address: "10.96.0.10" },
    engine: "jco",
    nodes: [{ name: "n1", address: "127.0.0.1", kubeletPort: 10250, podCIDR: "10.244.0.0/24", containerdSocket: "" }],
  };
  await ensurePki(config);
  role = await start({ config, log: silentLog });
  await role.ready;
  for (const name of ["admin", "node-n1", "scheduler"]) {
    clients[name] = createClient({ ...loadKubeconfig(paths(dataDir).roleKubeconfig(name)), userAgent: "test" });
  }
});

after(async () => {
  for (const client of Object.values(clients)) client.close();
  await role?.stop();
  await database?.remove();
  if (dataDir) rmSync(dataDir, { recursive: true, force: true });
});

const client = (name = "admin"): Client => {
  const found = clients[name];
  assert.ok(found);
  return found;
};

const configMap = (name: string, data = {}): DynamicObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default" },
  data,
});
const pod = (name: string, cpu: string): DynamicObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default" },
  spec: { containers: [{ name: "c", image: "x", resources: { requests: { cpu } } }] },
});

async function account(c: Client): Promise<void> {
  const object = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace: "default" } };
  await c.create(ACCOUNTS, object).catch((error: unknown) => assert.ok(isReason(error, "AlreadyExists")));
}

const bind = (c: Client, name: string) =>
  c.create(
    PODS,
    {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name, namespace: "default" },
      target: { kind: "Node", name: "n1" },
    } as DynamicObject,
    { subresource: "binding", name },
  );

test("what is created is read, watched, changed and gone", async () => {
  const abort = new AbortController();
  const seen: string[] = [];
  const { metadata } = await client().list(CONFIGMAPS, { namespace: "default" });
  const watching = (async () => {
    const events = client().watch(CONFIGMAPS, {
      namespace: "default",
      resourceVersion: metadata.resourceVersion ?? "",
      signal: abort.signal,
    });
    for await (const event of events) {
      if (event.type !== "BOOKMARK") seen.push(`${event.type} ${event.object.metadata.name}`);
      if (seen.length === 3) break;
    }
  })();
  const made = await client().create(CONFIGMAPS, configMap("a", { x: "1" }));
  assert.ok(made.metadata.uid);
  const patched = await client().patch<DynamicObject>(
    CONFIGMAPS,
    { namespace: "default", name: "a" },
    { type: "merge", body: { data: { x: "2" } } },
  );
  assert.notEqual(patched.metadata.resourceVersion, made.metadata.resourceVersion);
  await assert.rejects(client().update(CONFIGMAPS, { ...made, data: {} }), (e) => isReason(e, "Conflict"));
  await client().delete(CONFIGMAPS, { namespace: "default", name: "a" });
  await watching;
  abort.abort();
  assert.deepEqual(seen, ["ADDED a", "MODIFIED a", "DELETED a"]);
});

test("a pod gets its defaults and its token, and a bad one is refused by field", async () => {
  await account(client());
  const made = await client().create<DynamicObject>(PODS, pod("p", "100m"));
  const spec = made.spec as {
    restartPolicy: string;
    serviceAccountName: string;
    volumes: { name: string }[];
    priority: number;
  };
  assert.equal(spec.restartPolicy, "Always");
  assert.equal(spec.serviceAccountName, "default");
  assert.match(spec.volumes[0]?.name ?? "", /^kube-api-access-/);
  assert.equal(spec.priority, 0);
  const bad = pod("bad", "1");
  bad.spec = { containers: [{ name: "No Such!", image: "" }] };
  await assert.rejects(
    client().create(PODS, bad),
    (error: { status?: { code: number; details: { causes: { field: string }[] } } }) => {
      assert.deepEqual(
        error.status?.details.causes.map((c) => c.field),
        ["spec.containers[0].name", "spec.containers[0].image"],
      );
      return error.status?.code === 422;
    },
  );
});

test("a node's capacity refuses a binding exactly while an enabled plugin guards it", async () => {
  await account(client());
  const status = {
    capacity: { cpu: "1", memory: "1Gi", pods: "10" },
    allocatable: { cpu: "1", memory: "1Gi", pods: "10" },
  };
  await client().create(NODES, { apiVersion: "v1", kind: "Node", metadata: { name: "n1" } });
  await client().patch(NODES, { name: "n1" }, { type: "merge", body: { status } }, { subresource: "status" });
  const plugin = {
    apiVersion: "capstan.dev/v1",
    kind: "Plugin",
    metadata: { name: "capacity" },
    spec: {
      enabled: true,
      version: "1.0.0",
      witVersion: "v1",
      worlds: ["filter"],
      digest: `sha256:${"0".repeat(64)}`,
      guards: ["node-capacity"],
    },
  };
  await client().create(PLUGINS, plugin);
  for (const name of ["one", "two"]) await client().create(PODS, pod(name, "600m"));
  await bind(client("scheduler"), "one");
  await assert.rejects(bind(client("scheduler"), "two"), (e) => isReason(e, "Conflict"));
  await client().patch(
    PODS,
    { namespace: "default", name: "one" },
    { type: "merge", body: { status: { phase: "Succeeded" } } },
    { subresource: "status" },
  );
  await bind(client("scheduler"), "two");
  await client().create(PODS, pod("three", "600m"));
  await client().patch(PLUGINS, { name: "capacity" }, { type: "merge", body: { spec: { enabled: false } } });
  await bind(client("scheduler"), "three");
});

test("a node reads its own pods and nobody else's secrets", async () => {
  const node = client("node-n1").tenant("*");
  const own = await node.list(PODS, { fieldSelector: "spec.nodeName=n1" });
  assert.ok(own.items.every((p) => (p as DynamicObject & { spec: { nodeName: string } }).spec.nodeName === "n1"));
  const others = (await node.list(PODS)).items.filter((p) => p.metadata.name === "p");
  assert.equal(others.length, 1);
  // Of pods elsewhere it learns what its rules need, and not what they run.
  assert.ok(!JSON.stringify(others).includes('"image"') && !JSON.stringify(others).includes("kube-api-access"));
  const secrets = { group: "", version: "v1", resource: "secrets" };
  await assert.rejects(client("node-n1").list(secrets, { namespace: "default" }), (e) => isReason(e, "Forbidden"));
});

test("a tenant is a whole API of its own, and the wildcard tells whose an object is", async () => {
  await client().create(TENANTS, { apiVersion: "capstan.dev/v1", kind: "Tenant", metadata: { name: "acme" } });
  const acme = client().tenant("acme");
  await acme.create(CONFIGMAPS, configMap("only-acme"));
  await assert.rejects(client().get(CONFIGMAPS, { namespace: "default", name: "only-acme" }), (e) =>
    isReason(e, "NotFound"),
  );
  const all = await client().tenant("*").list(CONFIGMAPS, { fieldSelector: "metadata.name=only-acme" });
  assert.deepEqual(
    all.items.map((o) => o.metadata.annotations?.["capstan.dev/tenant"]),
    ["acme"],
  );
  const api = { namespace: "default", name: "kubernetes" };
  const addressIn = async (tenant: string) =>
    (await client().tenant(tenant).get<Service>(SERVICES, api)).spec?.clusterIP;
  assert.equal(await addressIn("acme"), await addressIn("root"));
  // The address is lent, not given: no other service of the tenant can have it.
  const grab = { apiVersion: "v1", kind: "Service", metadata: { name: "grab", namespace: "default" } };
  const spec = { clusterIP: await addressIn("root"), ports: [{ port: 443 }] };
  await assert.rejects(acme.create(SERVICES, { ...grab, spec }), (e) => isReason(e, "Invalid"));
  await assert.rejects(client("scheduler").tenant("nobody").list(PODS), (e) => isReason(e, "NotFound"));
});

test("paths and versions that are none are told as upstream tells them", async () => {
  const ask = async (path: string) => {
    const { code, body } = await client().raw("GET", path);
    return [code, body.startsWith("{") ? (JSON.parse(body) as { reason?: string }).reason : body];
  };
  assert.deepEqual(await ask("/nothing"), [404, "404 page not found\n"]);
  assert.deepEqual(await ask("/version/x"), [404, "NotFound"]);
  assert.deepEqual(await ask("/api/v1/pods?resourceVersion=abc"), [400, "BadRequest"]);
  assert.deepEqual(await ask("/api/v1/pods?watch=1&resourceVersion=abc"), [500, undefined]);
});

test("health is told check by check, under the names that monitors of kube-apiserver know", async () => {
  const ask = (path: string) => client().raw("GET", path);
  const all = (await ask("/readyz?verbose")).body;
  for (const name of ["ping", "log", "etcd", "informer-sync", "poststarthook/crd-informer-synced"])
    assert.match(all, new RegExp(`^\\[\\+\\]${name} ok$`, "m"));
  assert.doesNotMatch(all, /^\[-\]/m);
  assert.equal((await ask("/livez/poststarthook/start-apiextensions-controllers")).code, 200);
  assert.equal((await ask("/livez/informer-sync")).code, 404);
  assert.match((await ask("/readyz?verbose&exclude=etcd")).body, /^\[\+\]etcd excluded: ok$/m);
});

test("a path may be as long as the command that it carries", async () => {
  const { server, ca, cert, key } = loadKubeconfig(paths(dataDir).roleKubeconfig("admin"));
  const path = `/api/v1/namespaces/default/pods/none?command=${"a".repeat(200_000)}`;
  // Streams are opened over HTTP/1.1.
  const code = await new Promise((resolve, reject) => {
    const asked = get(`${server}${path}`, { ca, cert, key, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asked.on("error", reject);
  });
  assert.equal(code, 404);
});

test("nobody can shut everybody out by flow control: what must be there cannot be changed, and comes back", async () => {
  const flow = (resource: string) => ({ group: "flowcontrol.apiserver.k8s.io", version: "v1", resource });
  const schemas = flow("flowschemas");
  const old = await client().get<DynamicObject>(schemas, { name: "exempt" });
  await assert.rejects(client().update(schemas, { ...old, spec: { ...(old["spec"] as object), rules: [] } }), (e) =>
    isReason(e, "Invalid"),
  );
  for (const resource of ["flowschemas", "prioritylevelconfigurations"])
    await client().deleteCollection(flow(resource), {});
  const ended = new AbortController();
  const back = client().watch(schemas, {
    resourceVersion: "0",
    fieldSelector: "metadata.name=global-default",
    signal: ended.signal,
  });
  for await (const event of back) if (event.type === "ADDED") break;
  ended.abort();
  assert.notEqual((await client().get<DynamicObject>(schemas, { name: "exempt" })).metadata.uid, old.metadata.uid);
});

test("a flow schema tells whether there is the priority level that it names", { timeout: 30_000 }, async () => {
  const flow = (resource: string) => ({ group: "flowcontrol.apiserver.k8s.io", version: "v1", resource });
  const [schemas, levels] = [flow("flowschemas"), flow("prioritylevelconfigurations")];
  const made = (kind: string, name: string, spec: object) =>
    ({ apiVersion: "flowcontrol.apiserver.k8s.io/v1", kind, metadata: { name }, spec }) as unknown as DynamicObject;
  const says = (status: string, reason: string) =>
    until(async () => {
      const schema = await client().get(schemas, { name: "loose" });
      const { conditions = [] } = (schema as unknown as { status: { conditions?: Record<string, string>[] } }).status;
      return conditions.some((c) => c["type"] === "Dangling" && c["status"] === status && c["reason"] === reason);
    });
  await client().create(schemas, made("FlowSchema", "loose", { priorityLevelConfiguration: { name: "later" } }));
  await says("True", "NotFound");
  const limited = { limitResponse: { type: "Reject" } };
  await client().create(levels, made("PriorityLevelConfiguration", "later", { type: "Limited", limited }));
  await says("False", "Found");
  await client().delete(levels, { name: "later" });
  await says("True", "NotFound");
});

test("components tell how they are: the database is well, and nobody runs the loops here", async () => {
  const statuses = { group: "", version: "v1", resource: "componentstatuses" };
  const { items } = await client().list<ComponentStatus>(statuses);
  const told = items.map(({ metadata, conditions }) => [
    metadata.name,
    conditions?.[0]?.status,
    conditions?.[0]?.error,
  ]);
  assert.deepEqual(told, [
    ["controller-manager", "False", "nobody has started"],
    ["etcd-0", "True", undefined],
  ]);
  const one = await client().get<ComponentStatus>(statuses, { name: "etcd-0" });
  assert.equal(one.conditions?.[0]?.message, "ok");
  const selected = await client().list(statuses, { fieldSelector: "metadata.name=etcd-0" });
  assert.deepEqual(
    selected.items.map(({ metadata }) => metadata.name),
    ["etcd-0"],
  );
  await assert.rejects(client().get(statuses, { name: "other" }), (e) => isReason(e, "NotFound"));
});
