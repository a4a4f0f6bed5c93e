/** The scheduler asks components of the world permit before it binds: they hold a team's pods until all of it have a node. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import { createPluginHost } from "#platform/plugin-host/host.ts";
import { createFakeSource } from "#platform/plugin-host/testing/source.ts";
import { createPermitPlugins } from "#platform/plugin-host/worlds/v1/permit.ts";
import { noPlugins } from "#platform/scheduler/framework.ts";
import { startScheduler } from "#platform/scheduler/scheduler.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { type BuiltPlugin, buildPlugin } from "#sdk/plugin/build.ts";
import { createFakeApi, type FakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";

const PODS = { group: "", version: "v1", resource: "pods" };
const NODES = { group: "", version: "v1", resource: "nodes" };
const components = mkdtempSync(join(tmpdir(), "capstan-permit-"));
let built: BuiltPlugin;
before(async () => {
  built = await buildPlugin(join(import.meta.dirname, "permit"), components);
});
after(() => rmSync(components, { recursive: true, force: true }));

async function setUp(t: TestContext, config: Record<string, unknown> = {}): Promise<FakeApi> {
  const { name, ...manifest } = built.manifest;
  const spec = { ...manifest, digest: built.digest, approved: [], config };
  const source = createFakeSource([{ apiVersion: "capstan.dev/v1", kind: "Plugin", metadata: { name }, spec }]);
  const fixed = { role: "scheduler", instance: "0", engine: "jco", worlds: ["permit"] } as const;
  const host = createPluginHost({ ...fixed, componentsDir: components, plugins: source, log: silentLog });
  const permits = createPermitPlugins(host, silentLog);
  host.start();
  await host.ready();
  const api = createFakeApi();
  const allocatable = { cpu: "8", memory: "8Gi", pods: "20" };
  await api.client.create<Node>(NODES, {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "n1" },
    status: { allocatable },
  });
  const stop = new AbortController();
  const queue = { firstBackoffMs: 1, lastBackoffMs: 20 };
  const { client } = api;
  const scheduler = startScheduler({ client, plugins: noPlugins, permits, log: silentLog, signal: stop.signal, queue });
  t.after(async () => {
    stop.abort();
    await scheduler.done;
    await host.close();
  });
  await scheduler.ready;
  return api;
}

const makePod = (api: FakeApi, name: string, size?: string) =>
  api.client.create<Pod>(PODS, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "default",
      ...(size ? { labels: { "team-size": size }, annotations: { "scheduling.capstan.dev/gang": "team" } } : {}),
    },
    spec: { containers: [{ name: "c", image: "x" }] },
  });
const podOf = (api: FakeApi, name: string) => api.client.get<Pod>(PODS, { namespace: "default", name });
const isBound = async (api: FakeApi, name: string) => (await podOf(api, name)).spec?.nodeName === "n1";
const messageOf = async (api: FakeApi, name: string) => (await podOf(api, name)).status?.conditions?.[0]?.message;

test("a pod that a component holds is bound when the last of its group has come, others meanwhile", async (t) => {
  const api = await setUp(t);
  await makePod(api, "a", "3");
  await makePod(api, "b", "3");
  await makePod(api, "single");
  await until(() => isBound(api, "single"));
  assert.deepEqual([await isBound(api, "a"), await isBound(api, "b")], [false, false]);
  await makePod(api, "c", "3");
  for (const name of ["a", "b", "c"]) await until(() => isBound(api, name));
});

test("a pod that a component rejects is told what it says", async (t) => {
  const api = await setUp(t);
  await makePod(api, "unwanted", "never");
  await until(async () => (await messageOf(api, "unwanted")) === "default/team is not wanted");
  assert.equal(await isBound(api, "unwanted"), false);
});

test("a pod that was held too long gives its room back and says so", async (t) => {
  const api = await setUp(t, { waitMs: 10 });
  await makePod(api, "lonely", "2");
  const late = "rejected due to timeout after waiting 0.01s at plugin whole-teams";
  await until(async () => (await messageOf(api, "lonely")) === late);
});

test("a pod that is deleted while it is held is no longer counted", async (t) => {
  const api = await setUp(t);
  await makePod(api, "gone", "2");
  await makePod(api, "marker");
  await until(() => isBound(api, "marker"));
  await api.client.delete(PODS, { namespace: "default", name: "gone" });
  await until(async () => (await api.client.list<Pod>(PODS)).items.length === 1);
  await makePod(api, "first", "2");
  await makePod(api, "second-marker");
  await until(() => isBound(api, "second-marker"));
  assert.equal(await isBound(api, "first"), false);
  await makePod(api, "second", "2");
  for (const name of ["first", "second"]) await until(() => isBound(api, name));
});
