import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { median, reached, row } from "./report.ts";
import type { Figure } from "./scenarios.ts";

const rate: Figure = { name: "creates/s", of: "per_second", target: 2 };
const latency: Figure = { name: "p99", of: "p99_ms", target: 0.5 };

describe("a benchmark's report", () => {
  it("has the median of an odd and of an even number of repetitions", () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
  });

  it("compares pairs, not sums: one slow repetition on both sides leaves the ratio", () => {
    const pairs = [
      { ours: 300, theirs: 100 },
      { ours: 30, theirs: 10 },
      { ours: 310, theirs: 100 },
    ];
    assert.equal(row(rate, pairs), "| creates/s | 300 | 100 | 3.00× (3.00–3.10) | ≥2× | reached |");
  });

  it("wants rates high, latencies low and errors counted", () => {
    assert.equal(reached(rate, [{ ours: 150, theirs: 100 }]), false);
    assert.equal(reached(latency, [{ ours: 40, theirs: 100 }]), true);
    assert.equal(reached({ name: "lost", of: "errors", target: 0 }, [{ ours: 1, theirs: 0 }]), false);
  });

  it("holds what has a limit of its own against that, whatever the original does", () => {
    const each: Figure = { name: "a tenant", of: "bytes_each", limit: 100 * 1024 };
    assert.equal(reached(each, [{ ours: 90 * 1024, theirs: undefined }]), true);
    assert.equal(
      row(each, [{ ours: 200 * 1024, theirs: undefined }]),
      "| a tenant | 200 KiB | - | - | ≤100 KiB | missed |",
    );
    const shownOnly: Figure = { name: "made/s", of: "per_second" };
    assert.equal(row(shownOnly, [{ ours: 20, theirs: undefined }]), "| made/s | 20.0 | - | - | - | - |");
  });

  it("has no verdict where the original did not run", () => {
    assert.equal(reached(rate, [{ ours: 150, theirs: undefined }]), undefined);
    assert.equal(row(rate, [{ ours: 150, theirs: undefined }]), "| creates/s | 150 | - | - | ≥2× | - |");
  });
});
