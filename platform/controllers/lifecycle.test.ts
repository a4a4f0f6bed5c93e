import { deepEqual, equal, ok } from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { ConfigMap, Namespace, Pod } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, KubeObject, OwnerReference } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { DeleteOptions } from "#sdk/client/port.ts";
import { createFakeApi, type FakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import type { Controller } from "./context.ts";
import { garbageCollector } from "./garbage-collector/controller.ts";
import { namespaceController } from "./namespace/controller.ts";
import { CONFIGMAPS, NAMESPACES, PODS, SERVICE_ACCOUNTS } from "./resources.ts";
import { rootCAController } from "./root-ca/controller.ts";
import { runControllers } from "./run.ts";
import { serviceAccountController } from "./serviceaccount/controller.ts";

function setUp(t: TestContext, ...loops: Controller[]): FakeApi {
  const api = createFakeApi();
  const stop = new AbortController();
  const running = runControllers(loops, { client: api.client, log: silentLog, signal: stop.signal, rootCA: "PEM" });
  t.after(async () => {
    stop.abort();
    await running;
  });
  return api;
}

const exists = async (api: FakeApi, r: GroupVersionResource, name: string, namespace?: string) => {
  try {
    return await api.client.get<KubeObject>(r, { name, namespace });
  } catch (error) {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  }
};
const makeMap = (api: FakeApi, name: string, ...owners: KubeObject[]) =>
  api.client.create<ConfigMap>(CONFIGMAPS, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: "default", ...(owners.length > 0 ? { ownerReferences: owners.map(ref) } : {}) },
  });
const ref = (owner: KubeObject): OwnerReference => ({
  apiVersion: owner.apiVersion ?? "",
  kind: owner.kind ?? "",
  name: owner.metadata.name ?? "",
  uid: owner.metadata.uid ?? "",
  blockOwnerDeletion: true,
});
const remove = (api: FakeApi, name: string, o?: DeleteOptions) =>
  api.client.delete(CONFIGMAPS, { namespace: "default", name }, o);
const map = (api: FakeApi, name: string) => exists(api, CONFIGMAPS, name, "default");

test("what the deleted object owned goes too, and what that owned", async (t) => {
  const api = setUp(t, garbageCollector);
  const owner = await makeMap(api, "owner");
  const child = await makeMap(api, "child", owner);
  await makeMap(api, "grandchild", child);
  await makeMap(api, "bystander");
  await remove(api, "owner", { propagationPolicy: "Background" });
  await until(async () => !(await map(api, "child")) && !(await map(api, "grandchild")));
  ok(await map(api, "bystander"));
});

test("an object with another living owner only loses the reference", async (t) => {
  const api = setUp(t, garbageCollector);
  const first = await makeMap(api, "first");
  const second = await makeMap(api, "second");
  await makeMap(api, "shared", first, second);
  await remove(api, "first");
  await until(async () => (await map(api, "shared"))?.metadata.ownerReferences?.length === 1);
  equal((await map(api, "shared"))?.metadata.ownerReferences?.[0]?.name, "second");
});

test("foreground: the owner stays until its dependents are gone", async (t) => {
  const api = setUp(t, garbageCollector);
  const owner = await makeMap(api, "owner");
  const child = await makeMap(api, "child", owner);
  await api.client.update(CONFIGMAPS, { ...child, metadata: { ...child.metadata, finalizers: ["example.com/hold"] } });
  await remove(api, "owner", { propagationPolicy: "Foreground" });
  await until(async () => (await map(api, "child"))?.metadata.deletionTimestamp !== undefined);
  ok(await map(api, "owner"));
  await api.client.patch(
    CONFIGMAPS,
    { namespace: "default", name: "child" },
    { type: "merge", body: { metadata: { finalizers: [] } } },
  );
  await until(async () => !(await map(api, "owner")) && !(await map(api, "child")));
});

test("foreground: a circle of owners holds nobody", async (t) => {
  const api = setUp(t, garbageCollector);
  const first = await makeMap(api, "first");
  const second = await makeMap(api, "second", first);
  const third = await makeMap(api, "third", second);
  await api.client.update(CONFIGMAPS, { ...first, metadata: { ...first.metadata, ownerReferences: [ref(third)] } });
  await remove(api, "first", { propagationPolicy: "Foreground" });
  await until(async () => !(await map(api, "first")) && !(await map(api, "second")) && !(await map(api, "third")));
});

test("orphan: the dependents stay, without the reference", async (t) => {
  const api = setUp(t, garbageCollector);
  const owner = await makeMap(api, "owner");
  await makeMap(api, "child", owner);
  await remove(api, "owner", { propagationPolicy: "Orphan" });
  await until(async () => !(await map(api, "owner")));
  deepEqual((await map(api, "child"))?.metadata.ownerReferences ?? [], []);
});

test("an owner that never was, or was another with its name, is no owner", async (t) => {
  const api = setUp(t, garbageCollector);
  const owner = await makeMap(api, "owner");
  await makeMap(api, "child", { ...owner, metadata: { ...owner.metadata, uid: "another" } });
  await until(async () => !(await map(api, "child")));
  ok(await map(api, "owner"));
});

const makeNamespace = (api: FakeApi, name: string) =>
  api.client.create<Namespace>(NAMESPACES, {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name },
    spec: { finalizers: ["kubernetes"] },
  });

test("every namespace gets its default service account and the root certificate, again when they are deleted", async (t) => {
  const api = setUp(t, serviceAccountController, rootCAController);
  await makeNamespace(api, "team");
  const both = async () =>
    (await exists(api, SERVICE_ACCOUNTS, "default", "team")) &&
    (await exists(api, CONFIGMAPS, "kube-root-ca.crt", "team"));
  await until(async () => (await both()) !== undefined);
  await api.client.delete(SERVICE_ACCOUNTS, { namespace: "team", name: "default" });
  await api.client.delete(CONFIGMAPS, { namespace: "team", name: "kube-root-ca.crt" });
  await until(async () => (await both()) !== undefined);
});

test("a namespace that ends loses its pods first, then everything, then itself; its conditions say what holds it", async (t) => {
  const api = setUp(t, namespaceController);
  await makeNamespace(api, "team");
  const at = { namespace: "team" };
  await api.client.create<ConfigMap>(CONFIGMAPS, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { ...at, name: "m" },
  });
  await api.client.create<Pod>(PODS, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...at, name: "p", finalizers: ["example.com/hold"] },
    spec: { containers: [], terminationGracePeriodSeconds: 0 },
  });
  await api.client.delete(NAMESPACES, { name: "team" });
  const conditions = async () =>
    ((await exists(api, NAMESPACES, "team")) as Namespace | undefined)?.status?.conditions ?? [];
  await until(async () =>
    (await conditions()).some((c) => c.type === "NamespaceContentRemaining" && c.status === "True"),
  );
  const texts = (await conditions()).map((c) => c.message);
  ok(texts.includes("Some resources are remaining: pods. has 1 resource instances"));
  ok(
    texts.includes("Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"),
  );
  ok(await exists(api, CONFIGMAPS, "m", "team"));
  await api.client.patch(PODS, { ...at, name: "p" }, { type: "merge", body: { metadata: { finalizers: [] } } });
  await until(async () => !(await exists(api, NAMESPACES, "team")));
  equal(await exists(api, CONFIGMAPS, "m", "team"), undefined);
});
