import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import type { Pod, PodDisruptionBudget } from "#sdk/api/generated/types.ts";
import type { FilterOutcome } from "./framework.ts";
import { findVictims, type PlacedPod } from "./preemption.ts";

const podOf = (name: string, priority: number, cpu: number, start = "2026-01-01T00:00:00Z"): Pod & { cpu: number } => ({
  metadata: { name, namespace: "default", labels: { name } },
  spec: { containers: [], priority },
  status: { startTime: start },
  cpu,
});
const placed = (pod: Pod & { cpu: number }): PlacedPod => ({ key: pod.metadata.name ?? "", pod });
const full: FilterOutcome = { reasons: ["Insufficient cpu"], unresolvable: false };

/** Nodes of 10 cpu; the newcomer needs `needs`. */
const find = async (
  nodes: Record<number, (Pod & { cpu: number })[]>,
  needs: number,
  budgets: PodDisruptionBudget[] = [],
) => {
  const failures = new Map(Object.keys(nodes).map((id) => [Number(id), full]));
  const found = await findVictims(podOf("new", 100, needs), failures, budgets, {
    podsOn: (node) => nodes[node]!.map(placed),
    wholeOf: (one) => [one],
    async fitsWithout(removed) {
      const fits = [...removed].filter(([node, gone]) => {
        const used = nodes[node]!.filter((pod) => !gone.has(pod.metadata.name ?? "")).reduce(
          (sum, pod) => sum + pod.cpu,
          0,
        );
        return used + needs <= 10;
      });
      return new Set(fits.map(([node]) => node));
    },
  });
  return found && [found.node, found.victims.map(({ key }) => key).sort()];
};

test("only pods of a lower priority go, and no more than have to", async () => {
  deepEqual(await find({ 1: [podOf("a", 1, 4), podOf("b", 50, 4)] }, 5), [1, ["a"]]);
  deepEqual(await find({ 1: [podOf("a", 1, 2), podOf("b", 50, 8)] }, 5), [1, ["b"]]);
  equal(await find({ 1: [podOf("a", 100, 8)] }, 5), undefined);
  equal(await find({ 1: [podOf("a", 1, 2), podOf("b", 200, 8)] }, 5), undefined);
});

test("the node whose victims matter least is taken", async () => {
  const important = [podOf("a", 50, 10)];
  deepEqual(await find({ 1: important, 2: [podOf("b", 1, 5), podOf("c", 1, 5)] }, 10), [2, ["b", "c"]]);
  deepEqual(await find({ 1: [podOf("b", 1, 5), podOf("c", 1, 5)], 2: [podOf("d", 1, 10)] }, 10), [2, ["d"]]);
  const later = podOf("late", 1, 10, "2026-01-02T00:00:00Z");
  deepEqual(await find({ 1: [podOf("early", 1, 10)], 2: [later] }, 10), [2, ["late"]]);
});

test("a disruption budget is violated only where nothing else helps", async () => {
  const budget: PodDisruptionBudget = {
    metadata: { name: "b", namespace: "default" },
    spec: { selector: { matchLabels: { name: "kept" } } },
    status: { disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 },
  };
  deepEqual(await find({ 1: [podOf("kept", 1, 5), podOf("other", 2, 5)] }, 5, [budget]), [1, ["other"]]);
  deepEqual(await find({ 1: [podOf("kept", 1, 10)], 2: [podOf("other", 2, 10)] }, 5, [budget]), [2, ["other"]]);
  deepEqual(await find({ 1: [podOf("kept", 1, 10)] }, 5, [budget]), [1, ["kept"]]);
});
