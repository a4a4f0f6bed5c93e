/** Plugins' own users against a real API server over a real PostgreSQL. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { freePort, type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import { grantAccess } from "#plugins/access.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { type ClientOptions, createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import type { Plugin, PluginRule } from "#sdk/plugin/manifest.ts";
import { until } from "#sdk/testing/until.ts";
import { type Config, paths } from "./config.ts";
import { ensurePki } from "./pki.ts";
import { pluginClients } from "./plugin-users.ts";
import type { RunningRole } from "./role.ts";
import { start } from "./roles/apiserver.ts";

const core = (resource: string) => ({ group: "", version: "v1", resource });
const TENANTS = { group: "capstan.dev", version: "v1", resource: "tenants" };
const forbidden = (error: unknown) => isReason(error, "Forbidden");

const plugin = (name: string, rules: PluginRule[]): Plugin => ({
  apiVersion: "capstan.dev/v1",
  kind: "Plugin",
  metadata: { name },
  spec: {
    version: "1.0.0",
    witVersion: "v1",
    worlds: ["controller"],
    digest: `sha256:${"0".repeat(64)}`,
    capabilities: [{ name: "api", reason: "test", access: "write", rules }],
  },
});
const configMap = (name: string): DynamicObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default" },
});

let database: TestDatabase;
let dataDir: string;
let role: RunningRole;
let admin: Client;
let controllers: ClientOptions;
let users: ReturnType<typeof pluginClients>;

before(async () => {
  database = await withTestDatabase();
  dataDir = mkdtempSync(join(tmpdir(), "capstan-plugin-users-"));
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
    nodes: [],
  };
  await ensurePki(config);
  role = await start({ config, log: silentLog });
  await role.ready;
  admin = createClient(loadKubeconfig(paths(dataDir).kubeconfig));
  controllers = loadKubeconfig(paths(dataDir).roleKubeconfig("controllers"));
  users = pluginClients(controllers);
  await admin.create(TENANTS, { apiVersion: "capstan.dev/v1", kind: "Tenant", metadata: { name: "acme" } });
  const mayCreate: PluginRule = { apiGroups: [""], resources: ["configmaps"], verbs: ["create", "list"] };
  await grantAccess(admin, plugin("maker", [mayCreate]));
  // The server learns of the roles by watching them.
  const list = () => users.clientFor("maker", "root", "root").list(core("configmaps"), { namespace: "default" });
  await until(() =>
    list().then(
      () => true,
      () => false,
    ),
  );
});
after(async () => {
  users?.close();
  admin?.close();
  await role?.stop();
  await database?.remove();
  if (dataDir) rmSync(dataDir, { recursive: true, force: true });
});

test("a plugin does what its manifest's rules say, in whichever tenant it is called for, and under its own name", async () => {
  for (const tenant of ["root", "acme"]) {
    const created = await users.clientFor("maker", tenant, "root").create(core("configmaps"), configMap("made"));
    assert.equal(created.metadata.namespace, "default");
  }
  const refused = users
    .clientFor("maker", "acme", "root")
    .get(core("configmaps"), { namespace: "default", name: "made" });
  await assert.rejects(refused, (error) => forbidden(error) && /system:capstan:plugin:maker/.test(String(error)));
});

test("what is not in the rules is refused, though the process that runs the plugin may do it", async () => {
  const own = createClient(controllers);
  await own.get(core("configmaps"), { namespace: "default", name: "made" });
  own.close();
  for (const tenant of ["root", "acme"]) {
    const c = users.clientFor("maker", tenant, "root");
    await assert.rejects(c.get(core("configmaps"), { namespace: "default", name: "made" }), forbidden);
    await assert.rejects(c.list(core("secrets"), { namespace: "default" }), forbidden);
    await assert.rejects(c.list(core("pods"), { namespace: "default" }), forbidden);
  }
});

test("the process acts as installed plugins only, and as nobody else", async () => {
  await assert.rejects(users.clientFor("stranger", "root", "root").list(core("configmaps")), forbidden);
  for (const user of ["kubernetes-admin", "system:kube-scheduler"]) {
    const client = createClient({ ...controllers, impersonate: { user, group: "system:masters" } });
    await assert.rejects(client.list(core("secrets")), forbidden);
    client.close();
  }
});

test("a tenant's own roles give a plugin nothing", async () => {
  const rbac = (resource: string) => ({ group: "rbac.authorization.k8s.io", version: "v1", resource });
  await admin.tenant("acme").create(rbac("clusterrolebindings"), {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "lure" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "User", apiGroup: "rbac.authorization.k8s.io", name: "system:capstan:plugin:maker" }],
  } as DynamicObject);
  await assert.rejects(users.clientFor("maker", "acme", "root").list(core("secrets")), forbidden);
});

test("rules that an upgrade takes away are gone", async () => {
  await grantAccess(admin, plugin("maker", [{ apiGroups: [""], resources: ["configmaps"], verbs: ["list"] }]));
  const c = users.clientFor("maker", "root", "root");
  await until(() => c.create(core("configmaps"), configMap(`late-${Date.now()}`)).then(() => false, forbidden));
});
