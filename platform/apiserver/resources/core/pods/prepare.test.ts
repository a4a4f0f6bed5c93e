import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "#sdk/api/generated/types.ts";
import { dropDisabled, preparePod } from "./prepare.ts";

const pod = (spec: Partial<Pod["spec"] & object>): Pod => ({
  metadata: { name: "p", labels: { app: "a" } },
  spec: { containers: [{ name: "c", image: "x" }], ...spec },
});

test("a new pod is pending, with a class of its own and a time to end in", () => {
  const made = pod({ terminationGracePeriodSeconds: -5 });
  preparePod(made, 0);
  deepEqual(made.status, { phase: "Pending", qosClass: "BestEffort" });
  equal(made.spec?.terminationGracePeriodSeconds, 1);
  const gated = pod({ schedulingGates: [{ name: "a.example/b" }] });
  preparePod(gated, 0);
  equal(gated.status?.conditions?.[0]?.reason, "SchedulingGated");
});

test("keys of its own labels become part of what spreading looks at", () => {
  const constraint = { maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule", matchLabelKeys: ["app"] };
  const spread = pod({ topologySpreadConstraints: [{ ...constraint, labelSelector: { matchLabels: { b: "c" } } }] });
  preparePod(spread, 0);
  deepEqual(spread.spec?.topologySpreadConstraints?.[0]?.labelSelector?.matchExpressions, [
    { key: "app", operator: "In", values: ["a"] },
  ]);
});

test("fields whose features are off are dropped, unless the object has them already", () => {
  const { spec } = pod({ schedulingGroup: { podGroupName: "g" } });
  const old = structuredClone(spec);
  dropDisabled(spec, old);
  deepEqual(spec?.schedulingGroup, { podGroupName: "g" });
  dropDisabled(spec);
  equal(spec?.schedulingGroup, undefined);
});
