import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodePod } from "../context.ts";
import { createCurrency } from "./currency.ts";

const pod = (labels: Record<string, string>, phase: string): NodePod => ({
  metadata: { name: "p", namespace: "default", uid: "u", labels },
  spec: { containers: [] },
  status: { phase },
});

test("volumes are looked at again when their files may say something else, when a claim asks, and after a while; not for a status", () => {
  let [now, asks] = [1_000_000, false];
  const current = createCurrency({ due: () => asks }, { now: () => now });
  const first = pod({ a: "1" }, "Pending");
  assert.equal(current.due(first, []), true);
  current.done(first, []);
  assert.equal(current.due(pod({ a: "1" }, "Running"), []), false);
  assert.equal(current.due(pod({ a: "2" }, "Running"), []), true);
  assert.equal(current.due(first, ["10.0.0.1"]), true);
  asks = true;
  assert.equal(current.due(first, []), true);
  asks = false;
  now += 15_000;
  assert.equal(current.due(first, []), true);
});
