import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Deployment, Pod, ReplicaSet } from "#sdk/api/generated/types.ts";
import { type CoreEvent, EVENTS } from "#sdk/client/recorder.ts";
import type { FakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { drainController } from "../../drain/controller.ts";
import { isDraining, isLeaving } from "../../objects.ts";
import { replicaSetController } from "../../replicaset/controller.ts";
import { DEPLOYMENTS, REPLICA_SETS } from "../../resources.ts";
import { podsIn, ready, runPods, world } from "../../testing/world.ts";
import { deploymentController } from "../controller.ts";

const LOOPS = [deploymentController, replicaSetController, drainController];
const NAME = { namespace: "default", name: "web" };
const template = (image: string) => ({
  metadata: { labels: { app: "web" } },
  spec: { containers: [{ name: "c", image }] },
});
const make = (api: FakeApi, annotations: Record<string, string>, replicas = 10) =>
  api.client.create<Deployment>(DEPLOYMENTS, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { ...NAME, annotations: prefixed(annotations) },
    spec: {
      replicas,
      selector: { matchLabels: { app: "web" } },
      template: template("v1"),
      progressDeadlineSeconds: 600,
      strategy: { type: "RollingUpdate" },
    },
  });
const prefixed = (annotations: Record<string, string>) =>
  Object.fromEntries(Object.entries(annotations).map(([k, v]) => [`rollout.capstan.dev/${k}`, v]));
const annotate = (api: FakeApi, annotations: Record<string, string>) =>
  api.client.patch(DEPLOYMENTS, NAME, { type: "merge", body: { metadata: { annotations: prefixed(annotations) } } });
const update = (api: FakeApi, image: string) =>
  api.client.patch(DEPLOYMENTS, NAME, { type: "merge", body: { spec: { template: template(image) } } as never });
const images = (pods: readonly Pod[]) => {
  const counts: Record<string, number> = {};
  for (const pod of pods.filter((p) => !isLeaving(p))) {
    const image = pod.spec?.containers[0]?.image ?? "";
    counts[image] = (counts[image] ?? 0) + 1;
  }
  return counts;
};
const settled = (api: FakeApi, wanted: Record<string, number>) =>
  until(async () => JSON.stringify(images(await podsIn(api))) === JSON.stringify(wanted));
const told = async (api: FakeApi, reason: string) =>
  (await api.client.list<CoreEvent>(EVENTS)).items.some((event) => event.reason === reason);
const brokenV2 = (pod: Pod) => (pod.spec?.containers[0]?.image === "v2" ? { phase: "Pending" } : ready(pod));

test("a step holds until it is promoted, and then everything is new", async (t) => {
  const api = world(t, LOOPS);
  runPods(t, api);
  await make(api, { steps: "20% hold, 50% hold" });
  await settled(api, { v1: 10 });
  await update(api, "v2");
  await settled(api, { v1: 8, v2: 2 });
  await until(async () => {
    const { status } = await api.client.get<Deployment>(DEPLOYMENTS, NAME);
    return status?.conditions?.some((c) => c.reason === "RolloutStepWaiting") ?? false;
  });
  await annotate(api, { promote: "next" });
  await settled(api, { v1: 5, v2: 5 });
  await annotate(api, { promote: "all" });
  await settled(api, { v2: 10 });
});

test("a template that is taken back half-way comes back at once", async (t) => {
  const api = world(t, LOOPS);
  let least = Number.POSITIVE_INFINITY;
  let measured = false;
  runPods(t, api, ready, (pods) => {
    if (measured) least = Math.min(least, images(pods)["v1"] ?? 0);
  });
  await make(api, { steps: "20% hold, 50% hold" });
  await settled(api, { v1: 10 });
  await update(api, "v2");
  await settled(api, { v1: 8, v2: 2 });
  measured = true;
  await update(api, "v1");
  await settled(api, { v1: 10 });
  equal(least, 8);
});

test("a version that does not become ready is rolled back by itself, and the old one never shrinks below what must serve", async (t) => {
  const api = world(t, LOOPS);
  let least = Number.POSITIVE_INFINITY;
  let measured = false;
  runPods(t, api, brokenV2, (pods) => {
    if (measured) least = Math.min(least, images(pods)["v1"] ?? 0);
  });
  await make(api, { steps: "20%", deadline: "200ms", "on-failure": "rollback" });
  await settled(api, { v1: 10 });
  measured = true;
  await update(api, "v2");
  await until(() => told(api, "RolloutFailed"));
  await settled(api, { v1: 10 });
  const { spec } = await api.client.get<Deployment>(DEPLOYMENTS, NAME);
  equal(spec?.template.spec?.containers[0]?.image, "v1");
  equal(least >= 8, true);
});

test("one annotation goes back to a revision, another keeps revisions side by side", async (t) => {
  const api = world(t, LOOPS);
  runPods(t, api);
  await make(api, {});
  await settled(api, { v1: 10 });
  await update(api, "v2");
  await settled(api, { v2: 10 });
  await annotate(api, { rollback: "1" });
  await settled(api, { v1: 10 });
  const revisions = (await api.client.list<ReplicaSet>(REPLICA_SETS)).items.map((rs) => [
    rs.spec?.template?.spec?.containers[0]?.image,
    rs.metadata.annotations?.["deployment.kubernetes.io/revision"],
  ]);
  deepEqual(new Map(revisions as [string, string][]).get("v1"), "3");
  await annotate(api, { weights: "3=70,2=30" });
  await settled(api, { v1: 7, v2: 3 });
  await api.client.patch(DEPLOYMENTS, NAME, {
    type: "merge",
    body: { metadata: { annotations: { "rollout.capstan.dev/weights": null } } },
  });
  await settled(api, { v1: 10 });
});

test("a text that cannot be understood lets nothing out", async (t) => {
  const api = world(t, LOOPS);
  runPods(t, api);
  await make(api, { steps: "a few" });
  await until(() => told(api, "InvalidRollout"));
  equal((await podsIn(api)).length, 0);
  await annotate(api, { steps: "100%" });
  await settled(api, { v1: 10 });
});

test("pods that drain are no longer counted, and go when their time is over", async (t) => {
  const api = world(t, LOOPS);
  let drained = 0;
  runPods(t, api, ready, (pods) => {
    drained = Math.max(drained, pods.filter(isDraining).length);
  });
  await make(api, { drain: "100ms" }, 3);
  await settled(api, { v1: 3 });
  await until(async () => (await podsIn(api)).every((pod) => pod.status?.phase === "Running"));
  await update(api, "v2");
  await settled(api, { v2: 3 });
  await until(async () => (await podsIn(api)).length === 3);
  equal(drained > 0, true);
});
