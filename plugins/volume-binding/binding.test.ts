import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./binding.ts";

const node = { name: "n1", labels: { zone: "a" } };
const on = (...names: string[]) => ({
  nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: names }] }],
});

test("what is wrong with a claim is said of the pod, not of nodes", () => {
  const claims = [{ name: "c", problem: 'persistentvolumeclaim "c" not found' }];
  assert.deepEqual(judge(claims, node), { reasons: ['pod: persistentvolumeclaim "c" not found'], unresolvable: true });
});

test("a bound volume has to reach the node", () => {
  assert.equal(judge([{ name: "c", volume: {} }], node), undefined);
  assert.equal(judge([{ name: "c", volume: { affinity: on("n1") } }], node), undefined);
  const reasons = ["node(s) didn't match PersistentVolume's node affinity"];
  assert.deepEqual(judge([{ name: "c", volume: { affinity: on("n2") } }], node)?.reasons, reasons);
});

test("a claim that waits needs a volume that reaches the node and that no other claim of the pod takes", () => {
  const choices = [{ name: "pv1", affinity: on("n1") }];
  const reasons = ["node(s) didn't find available persistent volumes to bind"];
  assert.equal(judge([{ name: "a", choices }], node), undefined);
  assert.deepEqual(judge([{ name: "a", choices: [{ name: "pv2", affinity: on("n2") }] }], node)?.reasons, reasons);
  assert.deepEqual(
    judge(
      [
        { name: "a", choices },
        { name: "b", choices },
      ],
      node,
    )?.reasons,
    reasons,
  );
});

test("or a provisioner that is allowed to make one there", () => {
  const zone = (value: string) => [{ matchLabelExpressions: [{ key: "zone", values: [value] }] }];
  assert.equal(judge([{ name: "a", provision: [] }], node), undefined);
  assert.equal(judge([{ name: "a", provision: zone("a") }], node), undefined);
  assert.equal(judge([{ name: "a", provision: zone("b") }], node)?.unresolvable, true);
});

test("… and has room there for one as large", () => {
  const room = (zone: string) => [{ matchLabels: { zone } }];
  const reasons = ["node(s) did not have enough free storage"];
  assert.equal(judge([{ name: "a", provision: [], room: [...room("b"), ...room("a")] }], node), undefined);
  assert.deepEqual(judge([{ name: "a", provision: [], room: room("b") }], node)?.reasons, reasons);
  assert.deepEqual(judge([{ name: "a", provision: [], room: [] }], node)?.reasons, reasons);
});
