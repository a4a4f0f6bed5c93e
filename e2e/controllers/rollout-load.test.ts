/** A service answers every request while its Deployment is updated by steps and rolled back. */
import { deepEqual, ok } from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Deployment } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { until } from "#sdk/testing/until.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { keepNode, runPods, startLoad } from "./load.ts";
import { address, serveMetrics } from "./metrics-server.ts";

const DEPLOYMENTS = { group: "apps", version: "v1", resource: "deployments" };
const SERVICES = { group: "", version: "v1", resource: "services" };
const NAME = { namespace: "default", name: "web" };
const WAIT_MS = 60_000;

let plane: ControlPlane;
const ends = new AbortController();
before(async () => {
  plane = await startControlPlane();
});
after(async () => {
  ends.abort();
  await plane?.remove();
});

const annotate = (text: string) =>
  plane.kubectl("annotate", "--overwrite", "deployment", "web", `rollout.capstan.dev/${text}`);
const isDone = async (image: string) => {
  const { metadata, spec, status } = await plane.client.get<Deployment>(DEPLOYMENTS, NAME);
  return (
    spec?.template.spec?.containers[0]?.image === image &&
    status?.observedGeneration === metadata.generation &&
    status?.updatedReplicas === 6 &&
    status?.replicas === 6 &&
    status?.availableReplicas === 6
  );
};

test("no request fails through an update by steps and a roll-back", async () => {
  const { client, kubectl } = plane;
  await keepNode(client, "here", ends.signal);
  runPods(client, ends.signal);
  await client.create(DEPLOYMENTS, {
    metadata: {
      ...NAME,
      annotations: { "rollout.capstan.dev/drain": "4s", "rollout.capstan.dev/steps": "20% bake=1s, 50% hold, 100%" },
    },
    spec: {
      replicas: 6,
      selector: { matchLabels: { app: "web" } },
      strategy: { rollingUpdate: { maxSurge: 2, maxUnavailable: 0 } },
      template: {
        metadata: { labels: { app: "web" } },
        spec: { nodeName: "here", containers: [{ name: "c", image: "v1" }] },
      },
    },
  } as KubeObject);
  const spec = { selector: { app: "web" }, ports: [{ port: 80 }] };
  await client.create(SERVICES, { metadata: NAME, spec } as KubeObject);
  await until(() => isDone("v1"), WAIT_MS);
  const load = await startLoad(client, "web");
  await kubectl("set", "image", "deployment/web", "c=v2");
  await until(async () => (await kubectl("get", "events")).includes("step 2 of 3 (50%, until promoted)"), WAIT_MS);
  await annotate("promote=next");
  await until(() => isDone("v2"), WAIT_MS);
  await annotate("rollback=previous");
  await until(() => isDone("v1"), WAIT_MS);
  await load.stop();
  deepEqual(load.failed, []);
  for (const version of ["v1", "v2"]) ok((load.answered.get(version) ?? 0) > 100, version);
});

const skip = address ? false : "this machine has no address but loopback: an endpoint must have another";
test("a version that makes a metric worse is rolled back", { skip }, async (t) => {
  const { client, kubectl } = plane;
  const metrics = await serveMetrics(client);
  t.after(() => metrics.close());
  metrics.external.set("errors", "500m");
  const served = async () =>
    (await client.raw("GET", "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/errors")).code === 200;
  await until(served, WAIT_MS);
  for (const text of ["steps=50% bake=2s", "metric=errors < 1", "on-failure=rollback"]) await annotate(text);
  await kubectl("set", "image", "deployment/web", "c=v2");
  await until(() => isDone("v2"), WAIT_MS);
  metrics.external.set("errors", "5");
  await kubectl("set", "image", "deployment/web", "c=v3");
  // The change of the template is undone: its kubectl has returned, so v2 can only be there again.
  await until(() => isDone("v2"), WAIT_MS);
  ok((await kubectl("get", "replicasets", "-o", "wide")).includes("v3"));
});
