import assert from "node:assert/strict";
import { test } from "node:test";
import { formatFieldSelector, matchesFields, parseFieldSelector, requiredValue } from "./fields.ts";

test("terms are all asked, absent fields count as empty", () => {
  const selector = parseFieldSelector("spec.nodeName==n1,status.phase!=Running,");
  assert.ok(matchesFields(selector, { "spec.nodeName": "n1" }));
  assert.ok(!matchesFields(selector, { "spec.nodeName": "n1", "status.phase": "Running" }));
  assert.equal(requiredValue(selector, "spec.nodeName"), "n1");
  assert.equal(requiredValue(selector, "status.phase"), undefined);
});

test("backslash escapes commas, equal signs and itself", () => {
  const selector = parseFieldSelector("a=x\\,y\\=z\\\\");
  assert.deepEqual(selector, [{ field: "a", operator: "=", value: "x,y=z\\" }]);
  assert.equal(formatFieldSelector(selector), "a=x\\,y\\=z\\\\");
});

test("what cannot be parsed says what upstream says", () => {
  assert.throws(() => parseFieldSelector("a"), { message: "invalid selector: 'a'; can't understand 'a'" });
  assert.throws(() => parseFieldSelector("a=b\\c"), {
    message: "invalid field selector: invalid escape sequence: \\c",
  });
  assert.throws(() => parseFieldSelector("a=b=c"), {
    message: "invalid field selector: unescaped character in value: 61",
  });
});
