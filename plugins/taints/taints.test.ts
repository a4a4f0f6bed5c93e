import assert from "node:assert/strict";
import { test } from "node:test";
import { countAvoided, judge, tolerates } from "./taints.ts";

const taint = { key: "k", value: "v", effect: "NoSchedule" };
const node = (taints: { key: string; value?: string; effect: string }[], unschedulable = false) => ({
  taints,
  unschedulable,
});

test("a toleration matches by effect, key and value as core/v1 says", () => {
  assert.ok(tolerates({ key: "k", value: "v" }, taint));
  assert.ok(tolerates({ key: "k", operator: "Exists" }, taint));
  assert.ok(tolerates({ operator: "Exists" }, taint));
  assert.ok(!tolerates({ key: "k", operator: "Equal", value: "w" }, taint));
  assert.ok(!tolerates({ key: "k", operator: "Exists", effect: "NoExecute" }, taint));
  assert.ok(!tolerates({ key: "k", operator: "Gt", value: "0" }, taint));
});

test("what keeps a pod out is said in upstream's words", () => {
  assert.equal(judge([], node([])), undefined);
  assert.deepEqual(judge([], node([taint]))?.reasons, ["node(s) had untolerated taint(s)"]);
  assert.deepEqual(judge([], node([{ ...taint, effect: "NoExecute" }]))?.reasons, ["node(s) had untolerated taint(s)"]);
  assert.equal(judge([], node([{ ...taint, effect: "PreferNoSchedule" }])), undefined);
  assert.equal(judge([{ operator: "Exists" }], node([taint], true)), undefined);
  const cordoned = node([{ key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" }], true);
  assert.deepEqual(judge([], cordoned), { reasons: ["node(s) were unschedulable"], unresolvable: true });
});

test("taints that are only to be avoided are counted", () => {
  const avoided = { ...taint, effect: "PreferNoSchedule" };
  assert.equal(countAvoided([], node([avoided, { ...avoided, key: "o" }, taint])), 2);
  assert.equal(countAvoided([{ key: "k", operator: "Exists" }], node([avoided])), 0);
  assert.equal(countAvoided([{ key: "k", operator: "Exists", effect: "NoSchedule" }], node([avoided])), 1);
});
