import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import type { DaemonSet, DaemonSetSpec, Node, Pod, Taint } from "#sdk/api/generated/types.ts";
import { daemonPod } from "./pods.ts";
import { daemonStatus, planDaemons } from "./reconcile.ts";

const NOW = Date.parse("2026-01-01T01:00:00Z");
const setOf = (spec: Partial<DaemonSetSpec> = {}): DaemonSet => ({
  apiVersion: "apps/v1",
  kind: "DaemonSet",
  metadata: { name: "agent", namespace: "default", uid: "u", generation: 3 },
  spec: { selector: {}, template: { spec: { containers: [] } }, ...spec },
});
const node = (name: string, taints: Taint[] = [], labels: Record<string, string> = {}): Node => ({
  metadata: { name, labels },
  spec: { taints },
});
/** "r" ready, "p" not ready, "f" failed, "t" terminating; upper case: of the present template. */
const podOn = (name: string, state: string, index = 0): Pod => {
  const is = state.toLowerCase();
  return {
    metadata: {
      name: `${name}${index || ""}`,
      labels: { "controller-revision-hash": is === state ? "old" : "new" },
      ...(is === "t" ? { deletionTimestamp: "2026-01-01T00:59:00Z" } : {}),
    },
    spec: { containers: [], nodeName: name },
    status: {
      phase: is === "f" ? "Failed" : "Running",
      conditions: is === "r" ? [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }] : [],
    },
  };
};
/** One letter a node for each pod there; "." none, "rR" would be two nodes. */
const plan = (states: string[], spec: Partial<DaemonSetSpec> = {}) => {
  const nodes = states.map((_, i) => node(`n${i}`));
  const pods = states.flatMap((letters, i) =>
    [...letters].filter((l) => l !== ".").map((letter, j) => podOn(`n${i}`, letter, j)),
  );
  const { create, remove } = planDaemons({ ds: setOf(spec), nodes, pods, hash: "new", now: NOW });
  return { create, remove: remove.map((pod) => pod.metadata.name) };
};
const surging = (maxSurge: number | string) => ({
  updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge, maxUnavailable: 0 } },
});

test("every node gets one, failed ones are made anew, and of several the first stays", () => {
  deepEqual(plan([".", "R", "F", "RR", "T"]), { create: ["n0"], remove: ["n2", "n31"] });
});

test("old ones are replaced, no more at once than may be unavailable", () => {
  deepEqual(plan(["r", "r", "r"]), { create: [], remove: ["n0"] });
  deepEqual(plan(["r", "P", "r"]), { create: [], remove: [] });
  deepEqual(plan(["r", "p", "r"]), { create: [], remove: ["n1"] });
  const updateStrategy = { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "50%" } };
  deepEqual(plan(["r", "r", "r", "r"], { updateStrategy }).remove, ["n0", "n1"]);
  deepEqual(plan(["r", "r"], { updateStrategy: { type: "OnDelete" } }), { create: [], remove: [] });
});

test("a surge puts new ones beside old ones, which go when the new are available", () => {
  deepEqual(plan(["r", "r", "r"], surging(1)), { create: ["n0"], remove: [] });
  deepEqual(plan(["rP", "r", "r"], surging(1)), { create: [], remove: [] });
  deepEqual(plan(["rR", "r", "r"], surging(1)), { create: ["n1"], remove: ["n0"] });
  deepEqual(plan(["p", "r", "r"], surging(1)), { create: ["n0"], remove: [] });
});

test("taints and selectors decide where; what is there may stay on NoSchedule", () => {
  const ds = setOf({ template: { spec: { containers: [], nodeSelector: { os: "linux" } } } });
  const linux = { os: "linux" };
  const nodes = [
    node("plain", [], linux),
    node("other"),
    node("reserved", [{ key: "k", effect: "NoSchedule" }], linux),
    node("evicting", [{ key: "k", effect: "NoExecute" }], linux),
    node("cordoned", [{ key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" }], linux),
  ];
  const bare = planDaemons({ ds, nodes, pods: [], hash: "new", now: NOW });
  deepEqual(bare.create, ["plain", "cordoned"]);
  const pods = nodes.map((n) => podOn(n.metadata.name ?? "", "R"));
  const input = { ds, nodes, pods, hash: "new", now: NOW };
  deepEqual(
    planDaemons(input).remove.map((pod) => pod.metadata.name),
    ["other", "evicting"],
  );
  const { desiredNumberScheduled, currentNumberScheduled, numberMisscheduled } = daemonStatus(input, 0);
  deepEqual([desiredNumberScheduled, currentNumberScheduled, numberMisscheduled], [2, 2, 3]);
});

test("a daemon is bound to its node by affinity and tolerates what ails nodes", () => {
  const { metadata, spec } = daemonPod(setOf(), "n1", "abc");
  equal(metadata.labels?.["controller-revision-hash"], "abc");
  deepEqual(spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms, [
    { matchFields: [{ key: "metadata.name", operator: "In", values: ["n1"] }] },
  ]);
  equal(spec?.tolerations?.length, 6);
});

test("the status counts nodes", () => {
  const nodes = ["n0", "n1", "n2"].map((name) => node(name));
  const pods = [podOn("n0", "R"), podOn("n1", "p")];
  deepEqual(daemonStatus({ ds: setOf(), nodes, pods, hash: "new", now: NOW }, 0), {
    currentNumberScheduled: 2,
    numberMisscheduled: 0,
    desiredNumberScheduled: 3,
    numberReady: 1,
    observedGeneration: 3,
    updatedNumberScheduled: 1,
    numberAvailable: 1,
    numberUnavailable: 2,
  });
});
