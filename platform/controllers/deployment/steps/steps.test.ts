import { deepEqual, equal, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import type { Deployment, ReplicaSet } from "#sdk/api/generated/types.ts";
import { advance, type StepInput, type StepState, stateOf } from "./advance.ts";
import { planOf, STATE, shares, sizeOf, weightsOf } from "./plan.ts";
import { stepTargets, towards } from "./towards.ts";

const NOW = 1_000_000;
const deployment = (annotations: Record<string, string>, replicas = 10): Deployment => ({
  metadata: {
    name: "web",
    annotations: Object.fromEntries(Object.entries(annotations).map(([k, v]) => [`rollout.capstan.dev/${k}`, v])),
  },
  spec: {
    replicas,
    selector: {},
    template: {},
    strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 2, maxUnavailable: 1 } },
  },
});
const set = (name: string, replicas: number, available = replicas): ReplicaSet => ({
  metadata: { name, creationTimestamp: `2026-01-01T00:00:0${name.length}Z` },
  spec: { replicas, selector: {} },
  status: { replicas, availableReplicas: available },
});

describe("what annotations ask for", () => {
  test("steps, their waits, and everything at the end", () => {
    const plan = planOf(deployment({ steps: "10% bake=5m, 3 hold; 50%", deadline: "1m30s", "on-failure": "rollback" }));
    deepEqual(plan?.steps, [
      { weight: "10%", bakeMs: 300_000, hold: false },
      { weight: "3", bakeMs: 0, hold: true },
      { weight: "50%", bakeMs: 0, hold: false },
      { weight: "100%", bakeMs: 0, hold: false },
    ]);
    deepEqual([plan?.deadlineMs, plan?.rollsBack], [90_000, true]);
    deepEqual(planOf(deployment({ steps: "5%", metric: "err{a=b} <= 0.05" }))?.metric, {
      name: "err",
      selector: "a=b",
      operator: "<=",
      value: 0.05,
    });
    equal(planOf(deployment({})), undefined);
  });

  test("what cannot be understood is an error", () => {
    for (const steps of ["", "ten", "10% wait", "200%", "10% bake=x"])
      throws(() => planOf(deployment({ steps })), Error, steps);
    throws(() => planOf(deployment({ steps: "10%", metric: "err = 1" })));
    throws(() => planOf(deployment({ steps: "10%", "on-failure": "panic" })));
    for (const weights of ["a=1", "1=0", ""]) throws(() => weightsOf(deployment({ weights })), Error, weights);
  });

  test("sizes are at least one pod and shares add up", () => {
    const step = (weight: string) => ({ weight, bakeMs: 0, hold: false });
    deepEqual(
      ["1%", "25%", "100%", "50"].map((w) => sizeOf(step(w), deployment({}))),
      [1, 3, 10, 10],
    );
    deepEqual(
      [
        ...shares(
          new Map([
            ["a", 1],
            ["b", 1],
            ["c", 1],
          ]),
          10,
        ),
      ],
      [
        ["a", 4],
        ["b", 3],
        ["c", 3],
      ],
    );
  });
});

describe("a rollout by steps", () => {
  const STEPS = "20% bake=60s, 50% hold, 100%";
  const look = (
    state: StepState | undefined,
    newSet: ReplicaSet,
    more: Record<string, string> = {},
    input: Partial<StepInput> = {},
  ) => {
    const d = deployment({ steps: STEPS, ...more, ...(state ? { state: JSON.stringify(state) } : {}) });
    const plan = planOf(d);
    if (!plan) throw new Error("no plan");
    return advance({ deployment: d, plan, newSet, others: 10, metric: undefined, now: NOW, ...input });
  };
  const at = (step: number, more: Partial<StepState> = {}): StepState => ({
    set: "new",
    step,
    since: NOW - 1000,
    ...more,
  });

  test("begins with the first step, bakes it, waits for a person at the second and ends with everything", () => {
    deepEqual(look(undefined, set("new", 0)).target, 2);
    const baking = look(at(0), set("new", 2));
    deepEqual([baking.target, baking.state?.healthySince, baking.recheckMs], [2, NOW, 60_000]);
    const baked = look(at(0, { healthySince: NOW - 60_000 }), set("new", 2));
    deepEqual([baked.state?.step, baked.target, baked.events[0]?.reason], [1, 5, "RolloutStep"]);
    const held = look(at(1, { healthySince: NOW - 3_600_000 }), set("new", 5));
    deepEqual([held.state?.step, held.waiting], [1, "step 2 of 3 (50%, until promoted)"]);
    const promoted = look(at(1, { healthySince: 1 }), set("new", 5), { promote: "next" });
    deepEqual([promoted.state?.step, promoted.target, promoted.promoted], [2, 10, true]);
  });

  test("goes on from what there is when the version before is wanted again", () => {
    const undone = look(undefined, set("new", 8), {}, { others: 2 });
    deepEqual([undone.state?.step, undone.target], [2, 10]);
    deepEqual(look(undefined, set("new", 4), {}, { others: 6 }).target, 5);
  });

  test("comes at once where there is no other version", () => {
    deepEqual(look(undefined, set("new", 0), {}, { others: 0 }), { state: undefined, target: 10, events: [] });
  });

  test("bakes anew when a pod fails, and fails after the deadline", () => {
    const sick = look(at(0, { healthySince: NOW - 30_000 }), set("new", 2, 1));
    deepEqual([sick.state?.healthySince, sick.state?.since], [undefined, NOW]);
    const late = { since: NOW - 601_000 };
    const held = look(at(0, late), set("new", 2, 1));
    equal(held.state?.failed, "1 of 2 pods are available after 600s");
    equal(look(held.state, set("new", 2, 2)).target, 2, "it stays held");
    equal(look(at(0, late), set("new", 2, 1), { "on-failure": "rollback" }).rollBack, held.state?.failed);
  });

  test("goes on with a good metric, waits for a silent one and fails with a bad one", () => {
    const baked = at(0, { healthySince: NOW - 60_000 });
    const by = (metric: StepInput["metric"]) =>
      look(baked, set("new", 2), { metric: "err < 1", "on-failure": "rollback" }, { metric });
    equal(by("good").state?.step, 1);
    deepEqual([by("unknown").state?.step, by("unknown").recheckMs], [0, 10_000]);
    equal(by("bad").rollBack, "the metric err is not < 1");
  });

  test("what somebody else wrote as its state says nothing", () => {
    for (const text of ["x", "{}", '{"set":1}'])
      equal(stateOf({ metadata: { annotations: { [STATE]: text } } } as Deployment), undefined);
  });
});

describe("on the way to sizes", () => {
  const targets = new Map([
    ["new", 5],
    ["o", 5],
  ]);
  test("no more pods than surge allows and no fewer than must be available", () => {
    deepEqual(
      [...towards(deployment({}), [set("o", 10), set("new", 0)], targets)],
      [
        ["new", 2],
        ["o", 9],
      ],
    );
    deepEqual([...towards(deployment({}), [set("o", 9), set("new", 2, 0)], targets)], [["new", 3]]);
    deepEqual(
      [...towards(deployment({}), [set("o", 9, 6), set("new", 2)], targets)],
      [
        ["new", 3],
        ["o", 6],
      ],
      "what is not available goes first",
    );
  });

  test("the versions there were keep the rest, the largest serving again where one has shrunk", () => {
    deepEqual(
      [...stepTargets(deployment({}), [set("new", 1), set("o", 9), set("older", 2)], set("new", 1), 2)],
      [
        ["new", 2],
        ["o", 8],
        ["older", 0],
      ],
    );
    deepEqual(
      [...stepTargets(deployment({}), [set("new", 1), set("o", 3)], set("new", 1), 2)],
      [
        ["new", 2],
        ["o", 8],
      ],
    );
  });
});
