import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { pluginSpecSchema } from "#sdk/plugin/manifest.ts";
import type { ReconcileRequest, Watch } from "#sdk/plugin/types.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { PluginCallError } from "../../errors.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";
import { reconciledKey, runControllerPlugins } from "./controller.ts";

const SERVICES = { group: "", version: "v1", resource: "services" };
const CONFIGMAPS = { group: "", version: "v1", resource: "configmaps" };
const watch = (resource: typeof SERVICES, key: Watch["key"]): Watch => ({
  ...resource,
  labelSelector: "",
  fieldSelector: "",
  key,
});

/** A loaded plugin whose reconciles are the test's; `loaded` is what the host says is enabled. */
function fakeHost(reconcile: (request: ReconcileRequest, tenant: string | undefined) => unknown) {
  const spec = pluginSpecSchema.parse({
    version: "1.0.0",
    witVersion: "v1",
    worlds: ["controller"],
    digest: `sha256:${"0".repeat(64)}`,
  });
  const plugin: LoadedPlugin = {
    name: "balancer",
    tenant: "root",
    spec,
    async call(_hooks, functionName, args, o) {
      if (functionName === "watches") {
        return [watch(SERVICES, { tag: "self" }), watch(CONFIGMAPS, { tag: "label", val: "service" })];
      }
      return reconcile(args[0] as ReconcileRequest, o?.tenant);
    },
    offers: () => false,
    broadcast: async () => undefined,
    failed: (_hook, { message }) => new Error(message),
    refused: () => undefined,
  };
  const listeners: (() => void)[] = [];
  const state = { loaded: [plugin] };
  const host = {
    loaded: () => state.loaded,
    onChange: (listener: () => void) => void listeners.push(listener),
  } as unknown as PluginHost;
  return { host, state, changed: () => listeners.forEach((listener) => void listener()) };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((next) => setTimeout(next, 5));
}

const named = (name: string, labels?: Record<string, string>): KubeObject => ({
  metadata: { name, namespace: "default", ...(labels ? { labels } : {}) },
});

test("a change of a watched object reconciles what it is about, in its tenant, until that succeeds", async () => {
  const api = createFakeApi();
  const stop = new AbortController();
  const seen: string[] = [];
  let failures = 1;
  const { host } = fakeHost((request, tenant) => {
    seen.push(`${tenant} ${request.tenant}/${request.namespace}/${request.name}`);
    if (failures-- > 0) throw new PluginCallError("balancer", "reconcile", "failure", "not yet");
    return { requeueMs: 0 };
  });
  await api.client.create(SERVICES, named("web"));
  const ran = runControllerPlugins({ host, client: api.client, log: silentLog, signal: stop.signal });
  await until(() => seen.length >= 2);
  assert.deepEqual(seen.slice(0, 2), ["root root/default/web", "root root/default/web"]);
  await api.client.create(CONFIGMAPS, named("settings", { service: "other" }));
  await until(() => seen.includes("root root/default/other"));
  stop.abort();
  await ran;
});

test("a plugin that is disabled is not called any more, until it is enabled again", async () => {
  const api = createFakeApi();
  const stop = new AbortController();
  const seen: string[] = [];
  const fake = fakeHost((request) => {
    seen.push(request.name);
    return { requeueMs: 10 };
  });
  await api.client.create(SERVICES, named("web"));
  const ran = runControllerPlugins({ host: fake.host, client: api.client, log: silentLog, signal: stop.signal });
  await until(() => seen.length >= 3);
  const enabled = fake.state.loaded;
  fake.state.loaded = [];
  fake.changed();
  await new Promise((next) => setImmediate(next));
  const count = seen.length;
  await new Promise((next) => setTimeout(next, 60));
  assert.equal(seen.length, count);
  fake.state.loaded = enabled;
  fake.changed();
  await until(() => seen.length > count);
  stop.abort();
  await ran;
});

test("which object a watched one is about", () => {
  const owner = { apiVersion: "v1", kind: "Service", name: "web", uid: "1", controller: true };
  const object: KubeObject = {
    metadata: { name: "a", namespace: "n", labels: { s: "web" }, ownerReferences: [owner] },
  };
  assert.equal(reconciledKey(object, { tag: "self" }), "root/n/a");
  assert.equal(reconciledKey(object, { tag: "label", val: "s" }), "root/n/web");
  assert.equal(reconciledKey(object, { tag: "owner", val: "Service" }), "root/n/web");
  assert.equal(reconciledKey(object, { tag: "owner", val: "Pod" }), undefined);
  assert.equal(reconciledKey(object, { tag: "label", val: "none" }), undefined);
});
