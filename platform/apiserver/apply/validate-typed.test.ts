import assert from "node:assert/strict";
import { test } from "node:test";
import { typeOf, types } from "#sdk/api/facts.ts";
import type { Json } from "#sdk/api/object.ts";
import { mergePatch } from "./merge-patch.ts";
import { typeCompiler } from "./types.ts";
import { findMistakes } from "./validate-typed.ts";

const schema = typeOf({ group: "", version: "v1", kind: "Pod" });
assert.ok(schema);
const pod = typeCompiler(types())(schema);
const mistakes = (value: Json): string | undefined => findMistakes(pod, value);
const STRING = "expected string, got &value.valueUnstructured{Value:";

test("what is of another type is told as Go prints it", () => {
  const cases: [Json, string | undefined][] = [
    [{ spec: { nodeName: "a" } }, undefined],
    [
      { spec: { nodeName: { b: [1, "x"], a: null } } },
      `.spec.nodeName: ${STRING}map[string]interface {}{"a":interface {}(nil), "b":[]interface {}{1, "x"}}}`,
    ],
    [{ spec: { priority: {} } }, ".spec.priority: expected numeric (int or float), got map[string]interface {}"],
    [{ spec: { hostNetwork: "yes" } }, ".spec.hostNetwork: expected boolean, got &{yes}"],
    [{ spec: { containers: true } }, ".spec.containers: expected list, got &{true}"],
    [{ metadata: { creationTimestamp: [] } }, ".metadata.creationTimestamp: expected any scalar, got &{[]}"],
    [{ metadata: { creationTimestamp: true } }, undefined],
    [{ spec: { containers: [{ name: {} }] } }, `.spec.containers[name=].name: ${STRING}map[string]interface {}{}}`],
    [
      { metadata: { finalizers: [{}] } },
      ".metadata.finalizers: element 0: associative list without keys has an element that's a map type",
    ],
  ];
  for (const [value, expected] of cases) assert.equal(mistakes(value), expected);
});

test("a merge patch drops nulls inside new lists, and writes keys in their order", () => {
  assert.deepEqual(mergePatch({ a: [1] }, { a: [{ b: null, c: 1 }, null] }), { a: [{ c: 1 }, null] });
  assert.deepEqual(mergePatch({ b: { x: 1 } }, { b: { x: null }, a: { y: { z: null } } }), { a: { y: {} }, b: {} });
  assert.deepEqual(Object.keys(mergePatch({ c: 1, b: 2 }, { a: 3 }) as object), ["a", "b", "c"]);
});
