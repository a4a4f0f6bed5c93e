import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIntOrString, scaledValue } from "./intstr.ts";

test("text that is a number becomes one, names stay", () => {
  assert.equal(parseIntOrString("80"), 80);
  assert.equal(parseIntOrString("http"), "http");
  assert.equal(parseIntOrString("25%"), "25%");
});

test("percentages round the way the caller says", () => {
  assert.equal(scaledValue("25%", 3, true), 1);
  assert.equal(scaledValue("25%", 3, false), 0);
  assert.equal(scaledValue(2, 10, true), 2);
  assert.throws(() => scaledValue("two", 3, true), {
    message: "invalid value for IntOrString: invalid type: string is not a percentage",
  });
});
