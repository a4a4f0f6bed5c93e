import { deepEqual, equal, ok } from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { ControllerRevision, PersistentVolumeClaim, StatefulSet } from "#sdk/api/generated/types.ts";
import type { FakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, STATEFUL_SETS } from "../resources.ts";
import { podsIn, runPods, world } from "../testing/world.ts";
import { statefulSetController } from "./controller.ts";

const name = { namespace: "default", name: "web" };
const make = (api: FakeApi, spec: object = {}) =>
  api.client.create<StatefulSet>(STATEFUL_SETS, {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: name,
    spec: {
      replicas: 3,
      serviceName: "web",
      revisionHistoryLimit: 10,
      selector: { matchLabels: { app: "web" } },
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 0 } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image: "v1" }] } },
      ...spec,
    },
  });
const change = (api: FakeApi, spec: object) =>
  api.client.patch<StatefulSet>(STATEFUL_SETS, name, { type: "merge", body: { spec: spec as never } });
const image = (value: string) => ({ template: { spec: { containers: [{ name: "c", image: value }] } } });
const names = async (api: FakeApi) => (await podsIn(api)).map((pod) => pod.metadata.name).sort();
const isDone = async (api: FakeApi) => {
  const { metadata, spec, status } = await api.client.get<StatefulSet>(STATEFUL_SETS, name);
  return (
    status?.observedGeneration === metadata.generation &&
    status?.replicas === spec?.replicas &&
    (status?.readyReplicas ?? 0) === spec?.replicas &&
    status?.currentRevision === status?.updateRevision
  );
};
const setUp = (t: TestContext) => {
  const api = world(t, [statefulSetController]);
  runPods(t, api);
  return api;
};

test("pods come in order with stable names, and an update replaces them with a new revision", async (t) => {
  const api = setUp(t);
  await make(api);
  await until(() => isDone(api));
  deepEqual(await names(api), ["web-0", "web-1", "web-2"]);
  const made = api.requests.filter((r) => r.startsWith("POST") && r.includes("/pods/"));
  deepEqual(
    made,
    ["web-0", "web-1", "web-2"].map((pod) => `POST root/default/pods/${pod}`),
  );
  await change(api, image("v2"));
  await until(
    async () => (await isDone(api)) && (await podsIn(api)).every((p) => p.spec?.containers[0]?.image === "v2"),
  );
  const revisions = (await api.client.list<ControllerRevision>(CONTROLLER_REVISIONS)).items;
  deepEqual(revisions.map((r) => r.revision).sort(), [1, 2]);
  // Going back is a new number for the old revision.
  await change(api, image("v1"));
  await until(
    async () => (await isDone(api)) && (await podsIn(api)).every((p) => p.spec?.containers[0]?.image === "v1"),
  );
  deepEqual(
    (await api.client.list<ControllerRevision>(CONTROLLER_REVISIONS)).items.map((r) => r.revision).sort(),
    [2, 3],
  );
  await change(api, { replicas: 1 });
  await until(async () => (await isDone(api)) && (await names(api)).length === 1);
});

test("each pod has its claims, owned as the retention policy says", async (t) => {
  const api = setUp(t);
  await make(api, {
    podManagementPolicy: "Parallel",
    persistentVolumeClaimRetentionPolicy: { whenDeleted: "Delete", whenScaled: "Retain" },
    volumeClaimTemplates: [{ metadata: { name: "data" }, spec: { accessModes: ["ReadWriteOnce"] } }],
  });
  await until(() => isDone(api));
  const claims = (await api.client.list<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)).items;
  deepEqual(claims.map((c) => c.metadata.name).sort(), ["data-web-0", "data-web-1", "data-web-2"]);
  ok(claims.every((c) => c.metadata.ownerReferences?.[0]?.kind === "StatefulSet"));
  const [pod] = await podsIn(api);
  equal(pod?.spec?.volumes?.[0]?.persistentVolumeClaim?.claimName, `data-${pod?.metadata.name}`);
});
