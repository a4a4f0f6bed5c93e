import { equal } from "node:assert/strict";
import test from "node:test";
import { Horizon } from "./horizon.ts";

test("the horizon is the revision of so long ago, and holds few moments", () => {
  const horizon = new Horizon(300_000);
  for (let second = 0; second <= 290; second++) horizon.note(second * 1000, second);
  equal(horizon.revision, 0, "nothing is that old yet");
  for (let second = 291; second <= 400; second++) horizon.note(second * 1000, second);
  equal(horizon.revision, 100);
  for (let second = 401; second <= 1000; second++) horizon.note(second * 1000, 400);
  equal(horizon.revision, 400, "without writes it comes up to the present");
});
