import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import type { Pod, PodDisruptionBudget, PodDisruptionBudgetSpec } from "#sdk/api/generated/types.ts";
import { planBudget } from "./reconcile.ts";

const NOW = Date.parse("2026-01-01T01:00:00Z");
const budgetOf = (spec: PodDisruptionBudgetSpec, disruptedPods?: Record<string, string>): PodDisruptionBudget => ({
  metadata: { name: "pdb", generation: 2 },
  spec,
  status: { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0, disruptedPods },
});
const podsOf = (states: string): Pod[] =>
  [...states].map((state, i) => ({
    metadata: { name: `p${i}`, ...(state === "t" ? { deletionTimestamp: "2026-01-01T00:59:00Z" } : {}) },
    status: {
      phase: state === "f" ? "Failed" : "Running",
      conditions: [{ type: "Ready", status: state === "p" ? "False" : "True" }],
    },
  }));
const plan = (spec: PodDisruptionBudgetSpec, states: string, scale: number | undefined = 4) =>
  planBudget(budgetOf(spec), podsOf(states), new Map([["u", scale]]), () => "u", NOW);
const numbers = (spec: PodDisruptionBudgetSpec, states: string) => {
  const { disruptionsAllowed, currentHealthy, desiredHealthy, expectedPods } = plan(spec, states).status;
  return [disruptionsAllowed, currentHealthy, desiredHealthy, expectedPods];
};

test("what may go is what is healthy beyond what must stay", () => {
  deepEqual(numbers({ minAvailable: 2 }, "rrr"), [1, 3, 2, 3]);
  deepEqual(numbers({ minAvailable: 2 }, "rrpt"), [0, 2, 2, 4]);
  deepEqual(numbers({ minAvailable: "50%" }, "rrrr"), [2, 4, 2, 4]);
  deepEqual(numbers({ maxUnavailable: 1 }, "rrrr"), [1, 4, 3, 4]);
  deepEqual(numbers({ maxUnavailable: "30%" }, "rrrr"), [2, 4, 2, 4]);
  deepEqual(numbers({ maxUnavailable: 1 }, "rrpf"), [0, 2, 3, 4]);
  deepEqual(numbers({ minAvailable: 0 }, ""), [0, 0, 0, 0]);
});

test("an eviction that was granted counts until its pod ends, or for two minutes", () => {
  const recent = { p0: "2026-01-01T00:59:00Z", p1: "2026-01-01T00:50:00Z", gone: "2026-01-01T00:59:59Z" };
  const { status, recheckMs } = planBudget(
    budgetOf({ minAvailable: 1 }, recent),
    podsOf("rrr"),
    new Map(),
    () => "u",
    NOW,
  );
  deepEqual(status.disruptedPods, { p0: "2026-01-01T00:59:00Z" });
  deepEqual([status.currentHealthy, status.disruptionsAllowed, recheckMs], [2, 1, 60_000]);
});

test("pods without a known controller make a share impossible, and nothing may go", () => {
  const outcome = planBudget(budgetOf({ maxUnavailable: 1 }), podsOf("rr"), new Map(), () => "u", NOW);
  equal(outcome.failure, 'found no controllers for pod "p0"');
  deepEqual(
    outcome.status.conditions?.map((c) => [c.type, c.status, c.reason]),
    [["DisruptionAllowed", "False", "SyncFailed"]],
  );
});
