/** Pods that ask for no spreading, by the real components: those of a service are spread all the same, as upstream's system defaults have it. */
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import { builtPlugins } from "#plugins/build.ts";
import type { Node, Pod, Service } from "#sdk/api/generated/types.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { startOurs } from "./ours.ts";

const core = (resource: string) => ({ group: "", version: "v1", resource });
const skip =
  builtPlugins(resolve(import.meta.dirname, "../../plugins/dist")).length > 0 ? false : "the components are not built";

test("pods of a service go to different nodes though one node has far more room; others go where the room is", {
  skip,
}, async (t) => {
  const api = createFakeApi();
  for (const [name, cpu] of Object.entries({ roomy: "320", small: "8", little: "8" }))
    await api.client.create<Node>(core("nodes"), {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name, labels: { "kubernetes.io/hostname": name } },
      status: { allocatable: { cpu, memory: `${cpu}Gi`, pods: "110" } },
    });
  await api.client.create<Service>(core("services"), {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "default" },
    spec: { selector: { app: "web" } },
  });
  const make = (app: string, i: number) =>
    api.client.create<Pod>(core("pods"), {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: `${app}-${i}`, namespace: "default", labels: { app } },
      spec: { containers: [{ name: "c", image: "pause", resources: { requests: { cpu: "100m", memory: "100Mi" } } }] },
    });
  const running = await startOurs(api.client);
  t.after(() => running.stop());
  const placed = async (app: string) => {
    const { items } = await api.client.list<Pod>(core("pods"));
    const nodes = items
      .filter(({ metadata }) => metadata.labels?.["app"] === app)
      .map(({ spec }) => spec?.nodeName ?? "");
    return Object.groupBy(nodes, (node) => node);
  };
  // One after the other: what is placed together is given different nodes anyhow.
  for (let i = 0; i < 6; i++)
    for (const app of ["web", "batch"]) {
      await make(app, i);
      await until(async () => !(await placed(app))[""], 30_000);
    }
  const counts = Object.entries(await placed("web")).map(([node, pods]) => [node, pods?.length]);
  assert.deepEqual(Object.fromEntries(counts), { roomy: 2, small: 2, little: 2 });
  assert.deepEqual(Object.keys(await placed("batch")), ["roomy"]);
});
