import { deepEqual, equal, ok } from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Deployment, Pod, ReplicaSet } from "#sdk/api/generated/types.ts";
import { type CoreEvent, EVENTS } from "#sdk/client/recorder.ts";
import { createFakeApi, type FakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { deploymentController } from "./deployment/controller.ts";
import { replicaSetController } from "./replicaset/controller.ts";
import { DEPLOYMENTS, PODS, REPLICA_SETS } from "./resources.ts";
import { runControllers } from "./run.ts";

function setUp(t: TestContext): FakeApi {
  const api = createFakeApi();
  const stop = new AbortController();
  const loops = [deploymentController, replicaSetController];
  const running = runControllers(loops, { client: api.client, log: silentLog, signal: stop.signal, rootCA: "" });
  t.after(async () => {
    stop.abort();
    await running;
  });
  return api;
}

/** Makes every pod ready, as a node would; never more than `most` unready-or-more pods are seen at once. */
function runPods(t: TestContext, api: FakeApi, onPods: (pods: Pod[]) => void = () => undefined) {
  const stop = new AbortController();
  t.after(() => stop.abort());
  void (async () => {
    for await (const event of api.client.watch<Pod>(PODS, { sendInitialEvents: true, signal: stop.signal })) {
      onPods((await pods(api)).filter((p) => !p.metadata.deletionTimestamp));
      if (event.type !== "ADDED") continue;
      const status = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
      await api.client.update(PODS, { ...event.object, status }, { subresource: "status" }).catch(() => undefined);
    }
  })();
}

const pods = async (api: FakeApi) => (await api.client.list<Pod>(PODS)).items;
const sets = async (api: FakeApi) => (await api.client.list<ReplicaSet>(REPLICA_SETS)).items;
const name = { namespace: "default", name: "web" };
const get = (api: FakeApi) => api.client.get<Deployment>(DEPLOYMENTS, name);
const change = (api: FakeApi, spec: object) =>
  api.client.patch<Deployment>(DEPLOYMENTS, name, { type: "merge", body: { spec: spec as never } });
const image = (value: string) => ({ template: { spec: { containers: [{ name: "c", image: value }] } } });
const isDone = async (api: FakeApi) => {
  const { metadata, spec, status } = await get(api);
  return (
    status?.observedGeneration === metadata.generation &&
    status?.updatedReplicas === spec?.replicas &&
    status?.replicas === spec?.replicas &&
    status?.availableReplicas === spec?.replicas
  );
};

const make = (api: FakeApi, replicas: number, more: Partial<Deployment["spec"]> = {}) =>
  api.client.create<Deployment>(DEPLOYMENTS, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { ...name, annotations: { note: "kept" } },
    spec: {
      replicas,
      selector: { matchLabels: { app: "web" } },
      progressDeadlineSeconds: 600,
      revisionHistoryLimit: 10,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } },
      ...more,
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image: "v1" }] } },
    },
  });

test("a deployment makes one ReplicaSet and its pods, and says when it has progressed", async (t) => {
  const api = setUp(t);
  runPods(t, api);
  await make(api, 3);
  await until(() => isDone(api));
  const [rs] = await sets(api);
  const made = await pods(api);
  equal(made.length, 3);
  const hash = rs?.metadata.labels?.["pod-template-hash"];
  equal(rs?.metadata.name, `web-${hash}`);
  ok(
    made.every(
      (p) =>
        p.metadata.labels?.["pod-template-hash"] === hash && p.metadata.ownerReferences?.[0]?.uid === rs?.metadata.uid,
    ),
  );
  equal(rs?.metadata.annotations?.["deployment.kubernetes.io/revision"], "1");
  equal(rs?.metadata.annotations?.["note"], "kept");
  await until(
    async () => (await get(api)).status?.conditions?.some((c) => c.reason === "NewReplicaSetAvailable") === true,
  );
  const d = await get(api);
  equal(d.metadata.annotations?.["deployment.kubernetes.io/revision"], "1");
  deepEqual(d.status?.conditions?.map((c) => [c.type, c.status, c.reason, c.message]).sort(), [
    ["Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."],
    ["Progressing", "True", "NewReplicaSetAvailable", `ReplicaSet "${rs?.metadata.name}" has successfully progressed.`],
  ]);
  const events = (await api.client.list<CoreEvent>(EVENTS)).items.map((e) => e.message);
  ok(events.includes(`Scaled up replica set ${rs?.metadata.name} from 0 to 3`));
  ok(events.some((m) => m.startsWith("Created pod: web-")));
});

test("a rolling update stays between its bounds, and the old ReplicaSet is kept for undo", async (t) => {
  const api = setUp(t);
  const counts: number[] = [];
  let rolling = false;
  let leastReady = 99;
  runPods(t, api, (all) => {
    if (!rolling) return;
    counts.push(all.length);
    leastReady = Math.min(leastReady, all.filter((p) => p.status?.conditions?.[0]?.status === "True").length);
  });
  await make(api, 4);
  await until(() => isDone(api));
  rolling = true;
  await change(api, image("v2"));
  await until(async () => (await isDone(api)) && (await pods(api)).length === 4);
  ok(Math.max(...counts) <= 5, `${Math.max(...counts)} pods at once`);
  ok(leastReady >= 3, `${leastReady} ready`);
  ok((await pods(api)).every((p) => p.spec?.containers[0]?.image === "v2"));
  deepEqual((await sets(api)).map((rs) => rs.spec?.replicas).sort(), [0, 4]);

  // kubectl rollout undo writes the old template back.
  await change(api, image("v1"));
  await until(async () => (await isDone(api)) && (await pods(api)).every((p) => p.spec?.containers[0]?.image === "v1"));
  const all = await sets(api);
  equal(all.length, 2);
  const old = all.find((rs) => rs.spec?.replicas === 4);
  equal(old?.metadata.annotations?.["deployment.kubernetes.io/revision"], "3");
  equal(old?.metadata.annotations?.["deployment.kubernetes.io/revision-history"], "1");
  await until(async () => (await get(api)).metadata.annotations?.["deployment.kubernetes.io/revision"] === "3");
});

test("Recreate ends the old pods before it makes new ones", async (t) => {
  const api = setUp(t);
  let mixed = false;
  runPods(t, api, (all) => {
    mixed ||= new Set(all.map((p) => p.spec?.containers[0]?.image)).size > 1;
  });
  await make(api, 2, { strategy: { type: "Recreate" } });
  await until(() => isDone(api));
  await change(api, image("v2"));
  await until(async () => (await isDone(api)) && (await pods(api)).every((p) => p.spec?.containers[0]?.image === "v2"));
  equal(mixed, false);
});

test("scaling changes the pods only; a paused deployment is scaled but not rolled out", async (t) => {
  const api = setUp(t);
  runPods(t, api);
  await make(api, 2);
  await until(() => isDone(api));
  await change(api, { paused: true, replicas: 3, ...image("v2") });
  await until(async () => (await pods(api)).length === 3);
  ok((await pods(api)).every((p) => p.spec?.containers[0]?.image === "v1"));
  await until(async () => (await get(api)).status?.conditions?.some((c) => c.reason === "DeploymentPaused") === true);
  await change(api, { paused: false });
  await until(async () => (await isDone(api)) && (await pods(api)).every((p) => p.spec?.containers[0]?.image === "v2"));
  await change(api, { replicas: 1 });
  await until(async () => (await isDone(api)) && (await pods(api)).length === 1);
});

test("a revision may be larger than what a number holds exactly", async (t) => {
  const api = setUp(t);
  runPods(t, api);
  await make(api, 1);
  await until(() => isDone(api));
  const [first] = await sets(api);
  const annotations = { "deployment.kubernetes.io/revision": "3546343826724305832" };
  const at = { namespace: "default", name: first?.metadata.name ?? "" };
  await api.client.patch(REPLICA_SETS, at, { type: "merge", body: { metadata: { annotations } } });
  await change(api, image("v2"));
  const revisions = async () =>
    (await sets(api)).map((rs) => rs.metadata.annotations?.["deployment.kubernetes.io/revision"]);
  await until(async () => (await revisions()).includes("3546343826724305833"));
});

test("old ReplicaSets beyond revisionHistoryLimit go", async (t) => {
  const api = setUp(t);
  runPods(t, api);
  await make(api, 1, { revisionHistoryLimit: 1 });
  for (const version of ["v2", "v3", "v4"]) {
    await until(() => isDone(api));
    await change(api, image(version));
  }
  await until(async () => (await isDone(api)) && (await sets(api)).length === 2);
});

test("pods that fail to be created are reported on ReplicaSet and Deployment", async (t) => {
  const api = setUp(t);
  api.intercept((verb, resource) => {
    if (verb === "create" && resource === "pods") throw new Error("quota exceeded");
  });
  await make(api, 2);
  await until(async () => (await get(api)).status?.conditions?.some((c) => c.type === "ReplicaFailure") === true);
  const [rs] = await sets(api);
  deepEqual(
    rs?.status?.conditions?.map((c) => [c.type, c.reason, c.message]),
    [["ReplicaFailure", "FailedCreate", "quota exceeded"]],
  );
  api.intercept(undefined);
  runPods(t, api);
  await until(
    async () =>
      (await isDone(api)) && (await get(api)).status?.conditions?.every((c) => c.type !== "ReplicaFailure") === true,
  );
});

test("a tenant's deployment is rolled out in the tenant", async (t) => {
  const api = setUp(t);
  const tenant = { ...api, client: api.client.tenant("acme") };
  runPods(t, tenant);
  await make(tenant, 2);
  await until(() => isDone(tenant));
  equal((await pods(tenant)).length, 2);
  equal((await pods(api)).length, 0);
});
