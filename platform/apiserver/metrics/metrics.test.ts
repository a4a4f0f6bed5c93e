import assert from "node:assert/strict";
import { it } from "node:test";
import { withMetrics } from "./served.ts";
import { nodeMetrics, podMetrics } from "./values.ts";

const object = (name: string, uid: string) => ({
  key: { tenant: 1, resource: "pods", namespace: "default", name },
  uid,
  labels: { app: name },
});
const used = (usageNanoCores?: number) => ({
  cpu: { time: "2026-01-01T00:00:00Z", ...(usageNanoCores === undefined ? {} : { usageNanoCores }) },
  memory: { workingSetBytes: 4096 },
});

it("pods are told in metrics-server's units, once all of their containers have been measured", () => {
  const summary = {
    node: used(7),
    pods: [
      { podRef: { uid: "a" }, containers: [{ name: "main", ...used(1_500_000) }] },
      {
        podRef: { uid: "b" },
        containers: [
          { name: "main", ...used(1) },
          { name: "new", ...used() },
        ],
      },
      { podRef: { uid: "of-another-tenant" }, containers: [{ name: "main", ...used(1) }] },
    ],
  };
  const items = podMetrics([object("web", "a"), object("late", "b"), object("gone", "c")], summary) as {
    metadata: { name: string; labels: object };
    containers: object[];
  }[];
  assert.deepEqual(
    items.map(({ metadata: { name, labels }, containers }) => ({ name, labels, containers })),
    [
      {
        name: "web",
        labels: { app: "web" },
        containers: [{ name: "main", usage: { cpu: "1500000n", memory: "4Ki" } }],
      },
    ],
  );
  assert.equal(nodeMetrics(object("n1", "n"), { node: used(), pods: [] }), undefined);
});

it("discovery gets one list for each list it is added to", () => {
  const served = [] as const;
  assert.equal(withMetrics(served), withMetrics(served));
  assert.deepEqual(
    withMetrics(served).map(({ resource, kind }) => [resource, kind]),
    [
      ["nodes", "NodeMetrics"],
      ["pods", "PodMetrics"],
    ],
  );
});
