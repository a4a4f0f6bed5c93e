import assert from "node:assert/strict";
import { test } from "node:test";
import { invalidValue } from "./causes.ts";
import { type GoField, goValue } from "./go-names.ts";

const FIELDS: readonly GoField[] = [
  { go: "Name", json: "name", zero: "" },
  { go: "Count", json: "count", zero: 0 },
  { go: "Items", json: "items", of: [{ go: "CEL", json: "cel" }] },
];

test("a value has Go's names in Go's order, and says what is absent", () => {
  const value = goValue({ items: [{ cel: "x" }, {}], count: 2 }, FIELDS);
  assert.equal(JSON.stringify(value), '{"Name":"","Count":2,"Items":[{"CEL":"x"},{"CEL":null}]}');
  assert.equal(JSON.stringify(goValue({}, FIELDS)), '{"Name":"","Count":0,"Items":null}');
  assert.equal(goValue(undefined, FIELDS), null);
});

test("objects in messages are fit for HTML, as Go's JSON is; texts are not touched", () => {
  assert.equal(
    invalidValue("f", { rule: "a > b && c < d" }, "no").message,
    String.raw`Invalid value: {"rule":"a \u003e b \u0026\u0026 c \u003c d"}: no`,
  );
  assert.equal(invalidValue("f", "a > b", "no").message, 'Invalid value: "a > b": no');
});
