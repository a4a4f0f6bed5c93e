import assert from "node:assert/strict";
import { test } from "node:test";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { planDeletion } from "./deletion.ts";
import { genericStrategy } from "./generic.ts";
import type { ResourceEntry, Strategy } from "./strategy.ts";

const facts: ResourceFacts = {
  group: "",
  version: "v1",
  resource: "things",
  kind: "Thing",
  singular: "thing",
  namespaced: true,
  verbs: [],
  shortNames: [],
  categories: [],
  subresources: [],
};
const entry = (own: Partial<Strategy> = {}): ResourceEntry => ({
  facts,
  strategy: genericStrategy(facts, own),
  storeResource: "things",
});
const thing = (metadata: DynamicObject["metadata"] = {}): DynamicObject => ({ metadata: { name: "a", ...metadata } });
const NOW = Date.UTC(2026, 0, 1);

test("an object that nothing holds is removed at once", () => {
  assert.equal(planDeletion(entry(), thing(), { dryRun: false }, NOW).outcome, "remove");
});

test("a finalizer keeps the object, marked", () => {
  const { outcome, object } = planDeletion(entry(), thing({ finalizers: ["a/b"] }), { dryRun: false }, NOW);
  assert.equal(outcome, "mark");
  assert.equal(object.metadata.deletionTimestamp, "2026-01-01T00:00:00Z");
  assert.equal(object.metadata.deletionGracePeriodSeconds, 0);
});

test("propagation policies become finalizers", () => {
  const orphaned = planDeletion(entry(), thing(), { dryRun: false, propagationPolicy: "Orphan" }, NOW);
  assert.deepEqual(orphaned.object.metadata.finalizers, ["orphan"]);
  const foreground = planDeletion(entry(), thing(), { dryRun: false, propagationPolicy: "Foreground" }, NOW);
  assert.deepEqual(foreground.object.metadata.finalizers, ["foregroundDeletion"]);
  const background = planDeletion(
    entry(),
    thing({ finalizers: ["orphan"] }),
    { dryRun: false, propagationPolicy: "Background" },
    NOW,
  );
  assert.equal(background.outcome, "remove");
});

test("grace is counted from the first delete, and a second one may only shorten it", () => {
  const graceful = entry({ gracePeriodSeconds: (_, o) => o.gracePeriodSeconds ?? 30 });
  const first = planDeletion(graceful, thing(), { dryRun: false }, NOW);
  assert.equal(first.object.metadata.deletionTimestamp, "2026-01-01T00:00:30Z");
  const again = planDeletion(graceful, structuredClone(first.object), { dryRun: false }, NOW);
  assert.equal(again.outcome, "keep");
  const shorter = planDeletion(graceful, structuredClone(first.object), { dryRun: false, gracePeriodSeconds: 5 }, NOW);
  assert.equal(shorter.object.metadata.deletionTimestamp, "2026-01-01T00:00:05Z");
  const now = planDeletion(graceful, structuredClone(first.object), { dryRun: false, gracePeriodSeconds: 0 }, NOW);
  assert.equal(now.outcome, "remove");
});
