import { deepEqual } from "node:assert/strict";
import test from "node:test";
import type { ControllerRevision, Pod, StatefulSet, StatefulSetSpec } from "#sdk/api/generated/types.ts";
import { planStatefulSet } from "./reconcile.ts";

const NOW = Date.parse("2026-01-01T01:00:00Z");
const revision = (name: string): ControllerRevision => ({ metadata: { name }, revision: 1 });
const [old, next] = [revision("web-old"), revision("web-new")];
const setOf = (spec: Partial<StatefulSetSpec>): StatefulSet => ({
  metadata: { name: "web", generation: 2 },
  spec: { selector: {}, template: {}, replicas: 3, ...spec },
});
/** "r" ready, "p" pending, "t" terminating, "f" failed; upper case: of the new revision. */
const podOf = (ordinal: number, state: string): Pod => {
  const is = state.toLowerCase();
  return {
    metadata: {
      name: `web-${ordinal}`,
      labels: { "controller-revision-hash": is === state ? "web-old" : "web-new" },
      ...(is === "t" ? { deletionTimestamp: "2026-01-01T00:59:00Z" } : {}),
    },
    status: {
      phase: { r: "Running", t: "Running", f: "Failed" }[is] ?? "Pending",
      conditions: is === "r" ? [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }] : [],
    },
  };
};
/** A dot is no pod. */
const steps = (states: string, spec: Partial<StatefulSetSpec> = {}) => {
  const pods = [...states].flatMap((state, ordinal) => (state === "." ? [] : [podOf(ordinal, state)]));
  const input = { set: setOf(spec), pods, current: old, update: next, collisions: 0, now: NOW };
  return planStatefulSet(input).steps.map((step) =>
    step.type === "create"
      ? `+${step.ordinal}${step.revision === next ? "N" : "o"}`
      : `-${step.pod.metadata.name?.slice(4)}`,
  );
};
const parallel = { podManagementPolicy: "Parallel" };
const rolling = (partition: number) => ({ updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition } } });

test("an ordered set takes one step and waits until it shows", () => {
  deepEqual(steps("...", rolling(0)), ["+0N"]);
  deepEqual(steps("P..", rolling(0)), []);
  deepEqual(steps("R..", rolling(0)), ["+1N"]);
  deepEqual(steps("RT."), []);
  deepEqual(steps("RF."), ["-1"]);
});

test("a set that shrinks loses the highest first, and none while another is unhealthy", () => {
  deepEqual(steps("RRRRR"), ["-4"]);
  deepEqual(steps("RRRRT"), []);
  deepEqual(steps("RRRpp"), []);
  deepEqual(steps("RRRRp"), ["-4"]);
  deepEqual(steps("RpRR"), []);
});

test("a parallel set takes all steps", () => {
  deepEqual(steps("...", { ...parallel, ...rolling(0) }), ["+0N", "+1N", "+2N"]);
  deepEqual(steps("RRRRp", parallel), ["-4", "-3"]);
});

test("an update goes from the highest ordinal down to the partition, one by one", () => {
  deepEqual(steps("rrr", rolling(0)), ["-2"]);
  deepEqual(steps("rrP", rolling(0)), []);
  deepEqual(steps("rrR", rolling(0)), ["-1"]);
  deepEqual(steps("rrR", rolling(2)), []);
  deepEqual(steps("rr.", rolling(2)), ["+2N"]);
  deepEqual(steps("r..", rolling(2)), ["+1o"]);
  deepEqual(steps("rrr", { updateStrategy: { type: "OnDelete" } }), []);
  deepEqual(steps("rr.", { updateStrategy: { type: "OnDelete" } }), ["+2N"]);
});

test("maxUnavailable updates several at once", () => {
  const updateStrategy = { type: "RollingUpdate", rollingUpdate: { partition: 0, maxUnavailable: 2 } };
  deepEqual(steps("rrr", { ...parallel, updateStrategy }), ["-2", "-1"]);
  deepEqual(steps("rrP", { ...parallel, updateStrategy }), ["-1"]);
});

test("the status counts, and the new revision becomes the current one when all have it", () => {
  const status = (states: string) => {
    const pods = [...states].map((state, ordinal) => podOf(ordinal, state));
    const input = { set: setOf(rolling(0)), pods, current: old, update: next, collisions: 0, now: NOW };
    return planStatefulSet(input).status;
  };
  const common = { observedGeneration: 2, updateRevision: "web-new", collisionCount: 0 };
  deepEqual(status("rrR"), {
    ...common,
    replicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
    currentReplicas: 2,
    updatedReplicas: 1,
    currentRevision: "web-old",
  });
  deepEqual(status("RRR").currentRevision, "web-new");
  deepEqual(status("RRR").currentReplicas, 3);
});
