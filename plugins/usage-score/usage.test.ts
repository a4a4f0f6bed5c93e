import assert from "node:assert/strict";
import { test } from "node:test";
import { idleness, type NodeMetrics, usageOf } from "./usage.ts";

const NOW = Date.parse("2026-01-01T00:10:00Z");
/** As metrics-server 0.8 answers. */
const metrics = (name: string, cpu: string, memory: string, timestamp = "2026-01-01T00:09:50Z"): NodeMetrics => ({
  metadata: { name },
  timestamp,
  usage: { cpu, memory },
});
const node = (name: string) => ({
  name,
  allocatable: { cpuMilli: 4000, memory: 8 * 2 ** 30, ephemeralStorage: 0, others: [] },
  nonzeroCpuMilli: 3000,
  nonzeroMemory: 0,
});
const pod = { nonzeroCpuMilli: 0, nonzeroMemory: 0 };

test("what was recorded is read in millicores and bytes, and what is old is not", () => {
  const old = metrics("old", "1", "1Gi", "2026-01-01T00:00:00Z");
  const usage = usageOf([metrics("a", "156340120n", "2097152Ki"), old], NOW, 120_000);
  assert.deepEqual([...usage.keys()], ["a"]);
  assert.equal(usage.get("a")?.cpuMilli, 157, "rounded up, as quantities are");
  assert.equal(usage.get("a")?.memory, 2 * 2 ** 30);
});

test("the scarcer resource decides, whatever was requested", () => {
  const usage = usageOf([metrics("idle", "100m", "1Gi"), metrics("full", "100m", "7Gi")], NOW, 120_000);
  const [idle, full] = [idleness(pod, node("idle"), usage), idleness(pod, node("full"), usage)];
  assert.deepEqual([idle, full], [87, 12]);
  assert.ok(idleness({ ...pod, nonzeroCpuMilli: 2000 }, node("idle"), usage) < idle);
});

test("a node nobody has measured is judged by what was requested", () => {
  assert.equal(idleness(pod, node("unknown"), new Map()), 25);
});
