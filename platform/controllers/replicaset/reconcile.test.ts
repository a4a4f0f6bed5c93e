import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import type { Pod, ReplicaSet } from "#sdk/api/generated/types.ts";
import { podsToDelete, replicaSetStatus } from "./reconcile.ts";

const NOW = Date.parse("2026-01-01T01:00:00Z");
interface Shape {
  node?: string;
  phase?: string;
  ready?: string;
  cost?: string;
  restarts?: number;
  created?: string;
  deleting?: boolean;
}
const pod = (name: string, s: Shape = {}): Pod => ({
  metadata: {
    name,
    uid: name,
    creationTimestamp: s.created ?? "2026-01-01T00:00:00Z",
    labels: { app: "web" },
    ...(s.deleting ? { deletionTimestamp: "2026-01-01T00:59:00Z" } : {}),
    annotations: s.cost ? { "controller.kubernetes.io/pod-deletion-cost": s.cost } : {},
  },
  spec: { containers: [], nodeName: s.node },
  status: {
    phase: s.phase ?? "Running",
    conditions: s.ready ? [{ type: "Ready", status: "True", lastTransitionTime: s.ready }] : [],
    containerStatuses: [{ name: "c", image: "", imageID: "", ready: true, restartCount: s.restarts ?? 0 }],
  },
});
const OLD = "2026-01-01T00:00:00Z";
const names = (pods: Pod[]) => pods.map((p) => p.metadata.name);

test("pods go worst first", () => {
  const good = { node: "n", ready: OLD };
  const pods = [
    pod("good", good),
    pod("unassigned", { phase: "Pending" }),
    pod("pending", { node: "n", phase: "Pending" }),
    pod("not-ready", { node: "n" }),
    pod("cheap", { ...good, cost: "-5" }),
    pod("restarted", { ...good, restarts: 3 }),
    pod("young", { ...good, created: "2026-01-01T00:59:00Z" }),
    pod("just-ready", { node: "n", ready: "2026-01-01T00:59:59Z" }),
  ];
  const order = ["unassigned", "pending", "not-ready", "cheap", "just-ready", "restarted", "young", "good"];
  for (let count = 1; count < order.length; count++) {
    deepEqual(names(podsToDelete(pods, pods, count, NOW)), order.slice(0, count));
  }
});

test("a node with more pods of the family gives first", () => {
  const pods = [pod("a", { node: "n1", ready: OLD }), pod("b", { node: "n2", ready: OLD })];
  const related = [...pods, pod("other", { node: "n2", ready: OLD })];
  deepEqual(names(podsToDelete(pods, related, 1, NOW)), ["b"]);
});

const rs: ReplicaSet = {
  metadata: { name: "rs", generation: 7 },
  spec: { minReadySeconds: 30, selector: {}, template: { metadata: { labels: { app: "web" } } } },
};

test("the status counts what is ready and available, and says when to look again", () => {
  const pods = [
    pod("old", { ready: OLD }),
    pod("new", { ready: "2026-01-01T00:59:50Z" }),
    pod("waiting"),
    pod("ending", { ready: OLD, deleting: true }),
  ];
  const { status, recheckMs } = replicaSetStatus(rs, pods, undefined, NOW);
  deepEqual(status, {
    replicas: 3,
    fullyLabeledReplicas: 3,
    readyReplicas: 2,
    availableReplicas: 1,
    terminatingReplicas: 1,
    observedGeneration: 7,
  });
  equal(recheckMs, 20_000);
});

test("zero counts are absent, as Go writes them", () => {
  deepEqual(replicaSetStatus(rs, [], undefined, NOW).status, {
    replicas: 0,
    terminatingReplicas: 0,
    observedGeneration: 7,
  });
});
