import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeSelectorTerm } from "#sdk/api/generated/types.ts";
import { judgeOf, matchesTerm, preference } from "./affinity.ts";

const node = { name: "n1", labels: { zone: "a", cores: "8" } };
const requires = (...nodeSelectorTerms: NodeSelectorTerm[]) => ({
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
});
const zone = (operator: string, ...values: string[]) => ({ matchExpressions: [{ key: "zone", operator, values }] });

test("the selector and one of the required terms must match", () => {
  const refused = { reasons: ["node(s) didn't match Pod's node affinity/selector"], unresolvable: true };
  assert.equal(judgeOf({})(node), undefined);
  assert.equal(judgeOf({ nodeSelector: { zone: "a" } })(node), undefined);
  assert.deepEqual(judgeOf({ nodeSelector: { zone: "b" } })(node), refused);
  assert.equal(judgeOf(requires(zone("In", "b"), zone("In", "a")))(node), undefined);
  assert.deepEqual(judgeOf(requires(zone("NotIn", "a")))(node), refused);
  assert.deepEqual(judgeOf(requires())(node), refused);
  assert.deepEqual(judgeOf({ nodeSelector: { zone: "b" }, ...requires(zone("In", "a")) })(node), refused);
});

test("terms: every operator, fields, and the empty term that matches nothing", () => {
  const cores = (operator: string, value: string) => ({
    matchExpressions: [{ key: "cores", operator, values: [value] }],
  });
  assert.ok(matchesTerm(cores("Gt", "4"), node) && !matchesTerm(cores("Lt", "4"), node));
  assert.ok(matchesTerm(zone("Exists"), node) && !matchesTerm(zone("DoesNotExist"), node));
  const named = (name: string) => ({ matchFields: [{ key: "metadata.name", operator: "In", values: [name] }] });
  assert.ok(matchesTerm(named("n1"), node) && !matchesTerm(named("n2"), node));
  assert.ok(!matchesTerm({}, node) && !matchesTerm(zone("Near", "a"), node));
});

test("a pod that names its node goes nowhere else", () => {
  assert.equal(judgeOf({ nodeName: "n1" })(node), undefined);
  assert.deepEqual(judgeOf({ nodeName: "n2" })(node)?.reasons, ["node(s) didn't match the requested node name"]);
});

test("preferred terms add their weights", () => {
  const preferredDuringSchedulingIgnoredDuringExecution = [
    { weight: 10, preference: zone("In", "a") },
    { weight: 5, preference: zone("In", "b") },
    { weight: 1, preference: zone("Exists") },
  ];
  assert.equal(
    preference({ affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution } } }, node),
    11,
  );
});
