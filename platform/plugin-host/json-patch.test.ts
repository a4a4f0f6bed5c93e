import assert from "node:assert/strict";
import { test } from "node:test";
import { applyJsonPatch, applyPatch, type Operation, parsePatch } from "./json-patch.ts";

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

test("the object that came in stays as it was, and what is not touched is not copied", () => {
  const before = () => ({ a: { b: 1, list: [{ c: 1 }, { c: 2 }] }, other: { d: 1 } });
  const object = before();
  const made = patched(
    object,
    { op: "add", path: "/a/c", value: { deep: [1] } },
    { op: "add", path: "/a/c/deep/-", value: 2 },
    { op: "replace", path: "/a/list/1/c", value: 3 },
    { op: "remove", path: "/a/list/0" },
    { op: "copy", from: "/a/c", path: "/e" },
    { op: "add", path: "/e/deep/-", value: 3 },
    { op: "move", from: "/a/list", path: "/f" },
    { op: "add", path: "/f/-", value: 4 },
  ) as ReturnType<typeof before>;
  assert.deepEqual(object, before());
  assert.deepEqual(made, {
    a: { b: 1, c: { deep: [1, 2] } },
    other: { d: 1 },
    e: { deep: [1, 2, 3] },
    f: [{ c: 3 }, 4],
  });
  assert.equal(made.other, object.other);
});

test("the patch stays as it was too", () => {
  const patch: Operation[] = [
    { op: "add", path: "/a", value: { b: [] } },
    { op: "add", path: "/a/b/-", value: 1 },
  ];
  const first = applyJsonPatch({}, patch);
  assert.deepEqual([first, applyJsonPatch({}, patch)], [{ a: { b: [1] } }, { a: { b: [1] } }]);
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
  assert.deepEqual(parsePatch('[{"op":"remove","path":"/a"}]'), [{ op: "remove", path: "/a" }]);
  assert.throws(() => parsePatch("{"), /no JSON: "\{"/);
  for (const text of ["null", "1"]) assert.throws(() => parsePatch(text), /neither a list nor an object/, text);
  for (const text of ["[1]", '[{"op":"add"}]', '[{"op":"move","path":"/a","from":1}]'])
    assert.throws(() => parsePatch(text), /no list of operations/, text);
});

test("an object is a merge patch: null takes away, lists are replaced, what was there stays as it was", () => {
  const object = { a: { b: 1, c: [1, 2] }, d: "x", e: {} };
  const before = structuredClone(object);
  const patched = applyPatch<unknown>(object, parsePatch('{"a":{"b":null,"c":[3]},"d":{"f":{"g":null,"h":1}},"i":2}'));
  assert.deepEqual(patched, { a: { c: [3] }, d: { f: { h: 1 } }, e: {}, i: 2 });
  assert.deepEqual(object, before);
  assert.throws(() => applyPatch({}, parsePatch('{"__proto__":{"x":1}}')), /no field/);
  const deep = `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`;
  assert.throws(() => applyPatch({}, parsePatch(deep)), /nested too deeply/);
});
