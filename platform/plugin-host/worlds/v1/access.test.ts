/** Who is asking and who may, by components: the two first-party ones, built and run as any other. */
import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import { buildPlugin } from "#sdk/plugin/build.ts";
import type { Plugin } from "#sdk/plugin/manifest.ts";
import { createPluginHost, type PluginHost } from "../../host.ts";
import { createFakeSource } from "../../testing/source.ts";
import { type AccessAttributes, type AccessPlugins, createAccessPlugins } from "./access.ts";

const root = resolve(import.meta.dirname, "../../../..");
const scratch = mkdtempSync(join(tmpdir(), "capstan-access-"));
const components = join(scratch, "components");
let host: PluginHost;
let access: AccessPlugins;

async function pluginOf(name: string, config: Record<string, unknown>): Promise<Plugin> {
  const { manifest, digest } = await buildPlugin(join(root, "plugins", name), components);
  const { name: _, ...spec } = manifest;
  return { apiVersion: "capstan.dev/v1", kind: "Plugin", metadata: { name }, spec: { ...spec, digest, config } };
}

before(async () => {
  const source = createFakeSource();
  host = createPluginHost({
    role: "apiserver",
    instance: "test",
    engine: addonReady() ? "wasmtime" : "jco",
    componentsDir: components,
    worlds: ["authorizer", "authenticator"],
    plugins: source,
    log: silentLog,
  });
  access = createAccessPlugins(host, silentLog);
  source.put(await pluginOf("change-freeze", { namespaces: ["prod"], exemptGroups: ["ops"] }));
  const token = { sha256: hash("sha256", "grün"), user: "ci", groups: ["bots"] };
  source.put(await pluginOf("digest-tokens", { tokens: [token] }));
  host.start();
  await host.ready();
});
after(async () => {
  await host?.close();
  rmSync(scratch, { recursive: true, force: true });
});

const asked = (more: Partial<AccessAttributes>): AccessAttributes => ({
  tenant: "root",
  userTenant: "root",
  user: '{"name":"alice","groups":[]}',
  verb: "delete",
  group: "",
  version: "v1",
  resource: "pods",
  subresource: "",
  namespace: "prod",
  name: "web",
  path: "",
  fieldSelector: "",
  labelSelector: "",
  ...more,
});

test("a component denies, or has no opinion", async () => {
  assert.deepEqual(await access.authorize(asked({})), { verdict: "deny", reason: "changes in prod are frozen" });
  assert.equal((await access.authorize(asked({ verb: "get" }))).verdict, "no-opinion");
  assert.equal((await access.authorize(asked({ user: '{"name":"bob","groups":["ops"]}' }))).verdict, "no-opinion");
});

test("a component knows a token, or does not", async () => {
  assert.deepEqual(await access.authenticate("grün"), { name: "ci", uid: "", groups: ["bots"], extra: [] });
  assert.equal(await access.authenticate("other"), undefined);
});
