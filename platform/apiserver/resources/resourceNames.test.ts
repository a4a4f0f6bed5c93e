import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { validateAmount, validateContainerResourceName, validateResourceName } from "./resourceNames.ts";

test("names without a domain are the known ones; containers know fewer", () => {
  const count = (name: string) => [
    validateResourceName(name, "f").length,
    validateContainerResourceName(name, "f").length,
  ];
  deepEqual(count("cpu"), [0, 0]);
  deepEqual(count("hugepages-2Mi"), [0, 0]);
  deepEqual(count("storage"), [0, 1]);
  deepEqual(count("pods"), [0, 1]);
  deepEqual(count("gpu"), [1, 2]);
  deepEqual(count("example.com/gpu"), [0, 0]);
  deepEqual(count("requests.example.com/gpu"), [0, 1]);
});

test("what is counted is whole, what is measured need not be, and nothing is negative", () => {
  equal(validateAmount("pods", "1.5", "f")[0]?.message, 'Invalid value: "1.5": must be an integer');
  deepEqual(validateAmount("cpu", "1500m", "f"), []);
  equal(validateAmount("memory", "-1", "f").length, 1);
  equal(validateAmount("example.com/gpu", "500m", "f").length, 1);
});
