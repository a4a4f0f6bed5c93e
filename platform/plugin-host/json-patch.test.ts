import assert from "node:assert/strict";
import { test } from "node:test";
import { applyJsonPatch, type Operation, parseJsonPatch } from "./json-patch.ts";

const patched = (object: unknown, ...operations: Operation[]): unknown => applyJsonPatch(object, operations);

test("each operation does what RFC 6902 says", () => {
  assert.deepEqual(patched({ a: 1 }, { op: "add", path: "/b", value: 2 }), { a: 1, b: 2 });
  assert.deepEqual(patched({ a: [1, 3] }, { op: "add", path: "/a/1", value: 2 }), { a: [1, 2, 3] });
  assert.deepEqual(patched({ a: [1] }, { op: "add", path: "/a/-", value: 2 }), { a: [1, 2] });
  assert.deepEqual(patched({ a: [1, 2] }, { op: "remove", path: "/a/0" }), { a: [2] });
  assert.deepEqual(patched({ a: 1 }, { op: "replace", path: "/a", value: 2 }), { a: 2 });
  assert.deepEqual(patched({ a: 1 }, { op: "move", from: "/a", path: "/b" }), { b: 1 });
  assert.deepEqual(patched({ a: [1] }, { op: "copy", from: "/a", path: "/b" }), { a: [1], b: [1] });
  assert.deepEqual(patched({ "x/y~z": 1 }, { op: "replace", path: "/x~1y~0z", value: 2 }), { "x/y~z": 2 });
});

test("the object that came in stays as it was", () => {
  const object = { a: { b: 1 } };
  patched(object, { op: "add", path: "/a/c", value: 2 });
  assert.deepEqual(object, { a: { b: 1 } });
});

test("a patch that does not fit is refused", () => {
  assert.throws(() => patched({}, { op: "add", path: "/a/b", value: 1 }), /parent/);
  assert.throws(() => patched({}, { op: "remove", path: "/a" }), /nothing at/);
  assert.throws(() => patched({ a: [] }, { op: "add", path: "/a/5", value: 1 }), /no place/);
  assert.throws(() => patched({ a: 1 }, { op: "test", path: "/a", value: 2 }), /test/);
  assert.throws(() => patched({}, { op: "add", path: "/__proto__", value: {} }), /no field/);
  assert.throws(() => patched({}, { op: "sing", path: "/a" }), /no operation/);
});

test("a text that is no patch is refused with what is wrong", () => {
  assert.deepEqual(parseJsonPatch('[{"op":"remove","path":"/a"}]'), [{ op: "remove", path: "/a" }]);
  assert.throws(() => parseJsonPatch("{"), /no JSON: "\{"/);
  for (const text of ["null", "{}", "[1]", '[{"op":"add"}]', '[{"op":"move","path":"/a","from":1}]'])
    assert.throws(() => parseJsonPatch(text), /no list of operations/, text);
});
