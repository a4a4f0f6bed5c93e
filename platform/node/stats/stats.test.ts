import assert from "node:assert/strict";
import { it } from "node:test";
import { resourceMetrics } from "./metrics.ts";
import { createSampler } from "./sampler.ts";
import { fields, machineCpuNanos, type Usage } from "./usage.ts";

const usage = (at: number, cpuNanos: number): Usage => ({
  at,
  cpuNanos,
  memoryBytes: 3,
  workingSetBytes: 2,
  rssBytes: 1,
  pageFaults: 0,
  majorPageFaults: 0,
});

it("the rate of CPU is measured between two samples, and kept until there is a newer one", () => {
  let now: Usage | undefined = usage(0, 0);
  const sampler = createSampler(() => now);
  assert.equal(sampler.sample("a")?.nanoCores, undefined);
  now = usage(10_000, 5e9);
  assert.deepEqual([sampler.sample("a")?.nanoCores, sampler.sample("a")?.windowMs], [0.5e9, 10_000]);
  now = usage(10_200, 5e9);
  assert.equal(sampler.sample("a")?.nanoCores, 0.5e9);
  now = usage(30_000, 5e9);
  assert.equal(sampler.sample("a")?.nanoCores, 0);
  // Another cgroup of the same name counts from its own beginning.
  now = usage(31_000, 1e9);
  assert.equal(sampler.sample("a")?.nanoCores, undefined);
  now = undefined;
  assert.equal(sampler.sample("a"), undefined);
});

it("what the kernel writes is read with its units", () => {
  assert.equal(fields("MemTotal:       24 kB\nAnonPages: 1 kB\n").get("MemTotal"), 24 * 1024);
  assert.equal(fields("inactive_file 7\n").get("inactive_file"), 7);
  assert.equal(machineCpuNanos("cpu  100 0 50 900 7 1 2 3 0 0\ncpu0 1 1\n"), 1.53e9);
});

it("metrics/resource has the names and labels that metrics servers look for", () => {
  const time = "2026-01-01T00:00:00Z";
  const cpu = { time, usageCoreNanoSeconds: 2_500_000_000 };
  const memory = { time, usageBytes: 9, workingSetBytes: 7, rssBytes: 5, pageFaults: 0, majorPageFaults: 0 };
  const podRef = { name: "web", namespace: "default", uid: "u" };
  const text = resourceMetrics({
    node: { nodeName: "n1", startTime: time, cpu, memory },
    pods: [{ podRef, containers: [{ name: "main", startTime: time, cpu, memory }], cpu, memory }],
  });
  assert.match(text, /^container_cpu_usage_seconds_total\{container="main",namespace="default",pod="web"\} 2.5$/m);
  assert.match(text, /^node_memory_working_set_bytes 7$/m);
  assert.match(text, /^pod_memory_working_set_bytes\{namespace="default",pod="web"\} 7$/m);
  assert.match(text, /^resource_scrape_error 0$/m);
});
