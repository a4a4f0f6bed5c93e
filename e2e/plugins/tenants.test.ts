/** Tenants' own plugins: each sees only its own, by its own rights, within its own quota; and the life of a plugin, as its owner sees it. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { paths } from "#platform/main/config.ts";
import { accessOf } from "#plugins/access.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { capabilitiesDigest } from "#sdk/plugin/approval.ts";
import { type BuiltPlugin, buildPlugin } from "#sdk/plugin/build.ts";
import { type Capability, capabilitySchema, type Plugin, type PluginHostStatus } from "#sdk/plugin/manifest.ts";
import { eventually, type Instance, skipWithoutKubectl, startInstance } from "../support/instance.ts";
import { type RawApi, rawApi } from "../support/raw-api.ts";

const PLUGINS = "/apis/capstan.dev/v1/plugins";
const CONFIGMAPS = "/api/v1/namespaces/default/configmaps";
const TENANTS = ["acme", "globex"] as const;
type Place = "root" | (typeof TENANTS)[number];

const grant = (capability: object): Capability => capabilitySchema.parse({ reason: "the test asks", ...capability });
const READS_CONFIGMAPS = grant({
  name: "api",
  rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get"] }],
});
const CALLS_OUT = grant({ name: "http", origins: ["https://metrics.example"] });
const MERGE = { "content-type": "application/merge-patch+json" };

describe("plugins of tenants", { skip: skipWithoutKubectl }, () => {
  let capstan: Instance;
  let built: BuiltPlugin;
  const apis = {} as Record<Place, RawApi>;
  let made = 0;

  before(async () => {
    capstan = await startInstance({ nodes: 0 });
    const scratch = mkdtempSync(join(tmpdir(), "capstan-guest-"));
    try {
      built = await buildPlugin(join(import.meta.dirname, "guest"), scratch);
      copyFileSync(built.path, join(paths(capstan.dataDir).components, basename(built.path)));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
    apis.root = rawApi(capstan.kubeconfig);
    for (const tenant of TENANTS) {
      const created = await capstan.capstan("tenant", "create", tenant);
      assert.equal(created.code, 0, created.stderr);
      const file = join(capstan.dataDir, `${tenant}.kubeconfig`);
      writeFileSync(file, created.stdout, { mode: 0o600 });
      apis[tenant] = rawApi(file);
    }
  });

  after(async () => {
    for (const api of Object.values(apis)) api.close();
    await capstan?.remove();
  });

  const pluginOf = (name: string, config: object, spec: Partial<Plugin["spec"]> = {}): Plugin => {
    const { name: _, ...manifest } = built.manifest;
    return {
      apiVersion: "capstan.dev/v1",
      kind: "Plugin",
      metadata: { name },
      spec: { ...manifest, digest: built.digest, capabilities: [], config: { ...config }, ...spec },
    };
  };
  const send = (place: Place, method: string, path: string, body?: object, headers = {}) =>
    apis[place].send(method, path, body && JSON.stringify(body), headers);

  async function install(place: Place, plugin: Plugin): Promise<void> {
    const { code, text } = await send(place, "POST", PLUGINS, plugin);
    assert.equal(code, 201, text);
  }
  async function change(place: Place, name: string, spec: object): Promise<void> {
    const { code, text } = await send(place, "PATCH", `${PLUGINS}/${name}`, { spec }, MERGE);
    assert.equal(code, 200, text);
  }
  async function seen(place: Place, name: string): Promise<Plugin> {
    return JSON.parse((await send(place, "GET", `${PLUGINS}/${name}`)).text) as Plugin;
  }
  const hostOf = (plugin: Plugin): PluginHostStatus | undefined => Object.values(plugin.status?.hosts ?? {})[0];
  const condition = (plugin: Plugin, type: string) => plugin.status?.conditions?.find((c) => c.type === type);
  const serving = (place: Place, name: string, version = "1.0.0") =>
    eventually(`${name} of ${place} to serve`, async () => {
      const plugin = await seen(place, name);
      return plugin.spec.version === version && condition(plugin, "Ready")?.status === "True" ? plugin : undefined;
    });
  /** A new ConfigMap as it was stored. */
  async function written(place: Place): Promise<DynamicObject> {
    const name = `made-${made++}`;
    const { code, text } = await send(place, "POST", CONFIGMAPS, { metadata: { name }, data: { whose: place } });
    assert.equal(code, 201, text);
    return JSON.parse(text) as DynamicObject;
  }
  const stamp = async (place: Place) => (await written(place)).metadata.annotations?.["by"];

  it("are called for their tenant's requests and for nobody else's, whatever they are named", async () => {
    await install("acme", pluginOf("limit-ranger", { by: "acme's" }));
    await serving("acme", "limit-ranger");
    await eventually("the stamp of acme", async () => (await stamp("acme")) === "acme's");
    assert.equal(await stamp("globex"), undefined);
    assert.equal(await stamp("root"), undefined);
    await install("globex", pluginOf("limit-ranger", { by: "globex's" }));
    await eventually("the stamp of globex", async () => (await stamp("globex")) === "globex's");
    assert.equal(await stamp("acme"), "acme's");
    const ours = await send("root", "GET", PLUGINS);
    assert.ok(!ours.text.includes("acme's"), "root's own list has root's own plugins");
  });

  it("may not be what is root's alone", async () => {
    const exec = grant({ name: "exec", programs: { sh: "/bin/sh" } });
    const refused = await send("acme", "POST", PLUGINS, pluginOf("shell", {}, { capabilities: [exec] }));
    assert.equal(refused.code, 403, refused.text);
    assert.match(refused.status.message ?? "", /the capability exec is root's alone/);
    const node = await send("acme", "POST", PLUGINS, pluginOf("cri", {}, { worlds: ["runtime"], hooks: {} }));
    assert.match(node.status.message ?? "", /the world runtime is root's alone/);
    const unreadable = await send("acme", "POST", PLUGINS, pluginOf("none", {}, { digest: "sha1:0" }));
    assert.equal(unreadable.code, 422, unreadable.text);
  });

  it("wait for approval of what they ask for, which is a right of its own, and use it as their own user", async () => {
    const capabilities = [READS_CONFIGMAPS];
    await send("acme", "POST", CONFIGMAPS, { metadata: { name: "known" }, data: { secret: "of acme" } });
    const config = { by: "reader", read: { resource: "configmaps", name: "known" } };
    await install("acme", pluginOf("reader", config, { capabilities, order: 900 }));
    const waiting = await eventually("the plugin to wait", async () => {
      const plugin = await seen("acme", "reader");
      return condition(plugin, "Ready")?.reason === "ApprovalPending" ? plugin : undefined;
    });
    assert.match(
      condition(waiting, "Approved")?.message ?? "",
      /asks for api \(read: configmaps\); to approve it: kubectl/,
    );
    assert.equal(waiting.status?.asked, capabilitiesDigest(capabilities));
    assert.equal(await stamp("acme"), "acme's", "it is not called");

    const role = { rules: [{ apiGroups: ["capstan.dev"], resources: ["plugins"], verbs: ["get", "patch", "update"] }] };
    const rbac = "/apis/rbac.authorization.k8s.io/v1";
    await send("acme", "POST", `${rbac}/clusterroles`, { metadata: { name: "editor" }, ...role });
    await send("acme", "POST", `${rbac}/clusterrolebindings`, {
      metadata: { name: "editor" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "editor" },
      subjects: [{ kind: "User", apiGroup: "rbac.authorization.k8s.io", name: "bob" }],
    });
    const approved = [capabilitiesDigest(capabilities)];
    const patch = { spec: { approved } };
    const byBob = await send("acme", "PATCH", `${PLUGINS}/reader`, patch, { ...MERGE, "impersonate-user": "bob" });
    assert.equal(byBob.code, 403, byBob.text);
    assert.match(byBob.status.message ?? "", /needs the verb approve on plugins.capstan.dev/);

    await change("acme", "reader", { approved });
    await serving("acme", "reader");
    const readBy = async () => (await written("acme")).metadata.annotations?.["read"];
    await eventually("a refusal by the tenant's roles", async () => (await readBy()) === "Forbidden");
    const { roles, bindings } = accessOf(await seen("acme", "reader"), "acme");
    for (const object of roles) await send("acme", "POST", `${rbac}/clusterroles`, object);
    for (const object of bindings) await send("acme", "POST", `${rbac}/clusterrolebindings`, object);
    await eventually("the plugin to read", async () => (await readBy())?.includes("of acme"));
    // The same name in another tenant's default namespace, or in root's, cannot even be asked for.
    await change("acme", "reader", { config: { ...config, read: { resource: "secrets", name: "known" } } });
    await eventually("the other configuration", async () => (await readBy()) === "Forbidden");
  });

  it("keep their version while the next one waits, also over a restart, and lose no call to the swap", async () => {
    const { spec } = await seen("acme", "reader");
    const capabilities = [READS_CONFIGMAPS, CALLS_OUT];
    await change("acme", "reader", { version: "2.0.0", capabilities, config: { by: "second" } });
    const waiting = await eventually("version 2 to wait", async () => {
      const plugin = await seen("acme", "reader");
      return hostOf(plugin)?.reason.includes("version 2.0.0 waits") ? plugin : undefined;
    });
    assert.equal(condition(waiting, "Approved")?.status, "False");
    assert.equal(await stamp("acme"), "reader");
    let swapped = false;
    const stamps: (string | undefined)[] = [];
    const traffic = (async () => {
      while (!swapped || stamps.at(-1) !== "second") stamps.push(await stamp("acme"));
    })();
    const approved = [...(spec.approved ?? []), capabilitiesDigest(capabilities)];
    await change("acme", "reader", { approved });
    swapped = true;
    await traffic;
    assert.deepEqual([...new Set(stamps)], ["reader", "second"], "each was stamped, by one or by the other");
    const plugin = await eventually("the revision to be kept", async () => {
      const now = await seen("acme", "reader");
      return now.status?.revisions?.[0]?.spec.version === "2.0.0" ? now : undefined;
    });
    assert.ok((plugin.status?.revisions?.length ?? 0) >= 2);
  });

  it("are as many as the tenant's quota allows", async () => {
    const quota = { spec: { plugins: { count: 2 } } };
    const { code, text } = await send("root", "PATCH", "/apis/capstan.dev/v1/tenants/globex", quota, MERGE);
    assert.equal(code, 200, text);
    await install("globex", pluginOf("second", { by: "second" }));
    await serving("globex", "second");
    await install("globex", pluginOf("third", { by: "third" }));
    const beyond = await eventually("the third to be refused", async () => {
      const plugin = await seen("globex", "third");
      return condition(plugin, "Ready")?.reason === "NotLoaded" ? plugin : undefined;
    });
    assert.match(condition(beyond, "Ready")?.message ?? "", /the quota of tenant globex allows 2 plugins/);
    await send("globex", "DELETE", `${PLUGINS}/second`);
    await serving("globex", "third");
  });

  it("are quarantined when they keep trapping, with the reason where the owner looks, and come back with another configuration", async () => {
    await install("globex", pluginOf("broken", { trap: true }, { failurePolicy: "Ignore", order: 900 }));
    await send("globex", "DELETE", `${PLUGINS}/third`);
    const quarantined = await eventually("the quarantine", async () => {
      await written("globex");
      const plugin = await seen("globex", "broken");
      return condition(plugin, "Ready")?.reason === "Quarantined" ? plugin : undefined;
    });
    assert.match(condition(quarantined, "Ready")?.message ?? "", /8 stops in a row: stopped in mutate \(trap\)/);
    const { text } = await send("globex", "GET", "/api/v1/namespaces/default/events");
    assert.match(text, /"reason":"Quarantined"/);
    assert.equal(await stamp("acme"), "second", "another tenant's go on");
    await change("globex", "broken", { config: { trap: null, by: "mended" } });
    await serving("globex", "broken");
    await eventually("the mended stamp", async () => (await stamp("globex")) === "mended");
  });

  it("are counted by plugin and tenant, and what they said is their tenant's to read", async () => {
    const metrics = await eventually("the metrics", async () => {
      const { text } = await send("root", "GET", "/metrics");
      return /capstan_plugin_calls_total\{plugin="reader",tenant="acme",role="apiserver"/.test(text) ? text : undefined;
    });
    assert.match(metrics, /capstan_plugin_errors_total\{plugin="broken",tenant="globex",[^}]*kind="trap"\} 8\n/);
    assert.match(
      metrics,
      /capstan_plugin_call_duration_seconds_bucket\{plugin="reader",[^}]*hook="mutate",le="\+Inf"\}/,
    );
    const log = await send("acme", "GET", `${PLUGINS}/reader/log?tailLines=1`);
    assert.equal(log.text, "asked by second\n");
    assert.equal((await send("globex", "GET", `${PLUGINS}/reader/log`)).code, 404);
  });
});
