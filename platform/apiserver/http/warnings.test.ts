import assert from "node:assert/strict";
import { test } from "node:test";
import { recordWarnings } from "./warnings.ts";

test("a text is said once, and an empty one not at all", () => {
  const shown: string[] = [];
  const warn = recordWarnings(shown);
  for (const text of ["a", "b", "", "a"]) warn(text);
  assert.deepEqual(shown, ["a", "b"]);
});

test("what is too much together is cut piece by piece, and ends", () => {
  const shown: string[] = [];
  const warn = recordWarnings(shown);
  for (let i = 0; i < 1000; i++) warn(`${i} ${"x".repeat(1000)}`);
  assert.equal(shown[0]?.length, 256);
  assert.match(shown.at(-1) ?? "", /^15 x/);
  assert.equal(shown.length, 16);
});

test("one long text stands whole where it is within the limit", () => {
  const shown: string[] = [];
  recordWarnings(shown)("x".repeat(4096));
  assert.equal(shown[0]?.length, 4096);
});
