import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  quantityMilliValue,
  quantityValue,
  subtractQuantities,
} from "./quantity.ts";

test("quantities are written in their canonical form", () => {
  const cases: [string | number, string][] = [
    ["0", "0"],
    [7, "7"],
    [0.5, "500m"],
    ["1.5", "1500m"],
    ["1.5Gi", "1536Mi"],
    ["1024Ki", "1Mi"],
    ["1000m", "1"],
    ["1000", "1k"],
    ["2000M", "2G"],
    ["512", "512"],
    ["100Mi", "100Mi"],
    ["0.5Ki", "512"],
    ["0.1m", "100u"],
    ["0.1n", "1n"],
    ["1e3", "1e3"],
    ["12E6", "12e6"],
    ["1.5e0", "1500e-3"],
    ["-1.5", "-1500m"],
    ["9999999Ei", "9223372036854775807"],
  ];
  for (const [input, text] of cases) assert.equal(canonicalQuantity(input), text, String(input));
});

test("arithmetic is exact and compares across suffixes", () => {
  const sum = addQuantities(parseQuantity("100m"), parseQuantity("0.9"));
  assert.equal(formatQuantity(sum), "1");
  assert.equal(formatQuantity(subtractQuantities(parseQuantity("1Gi"), parseQuantity("1Mi"))), "1023Mi");
  assert.equal(compareQuantities(parseQuantity("1Ki"), parseQuantity("1024")), 0);
  assert.ok(compareQuantities(parseQuantity("1G"), parseQuantity("1Gi")) < 0);
  assert.equal(quantityMilliValue(parseQuantity("250m")), 250);
  assert.equal(quantityValue(parseQuantity("1500m")), 2);
  assert.equal(quantityValue(parseQuantity("-9m")), -1);
});

test("what is no quantity is refused with upstream's message", () => {
  const message = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  assert.throws(() => parseQuantity(""), { message });
  assert.throws(() => parseQuantity("No Good"), { message });
  assert.throws(() => parseQuantity("1Kim"), { message: "unable to parse quantity's suffix" });
});
