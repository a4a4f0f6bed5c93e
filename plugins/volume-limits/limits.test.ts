import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./limits.ts";

const volume = (handle: string, driver = "csi") => ({ name: handle, attach: { driver, handle } });

test("a node takes as many volumes of a driver as it can attach, each counted once", () => {
  const limits = { csi: 2 };
  assert.equal(judge([volume("a")], [[volume("b")]], limits), undefined);
  assert.deepEqual(judge([volume("a")], [[volume("b"), volume("c")]], limits)?.reasons, [
    "node(s) exceed max volume count",
  ]);
  assert.equal(judge([volume("b")], [[volume("b"), volume("c")]], limits), undefined);
  assert.equal(judge([volume("a", "other")], [[volume("b"), volume("c")]], limits), undefined);
});
