import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Node } from "#sdk/api/generated/types.ts";
import { ratesOf, ZoneLimits } from "./zones.ts";

const nodes = (zone: string, ready: number, lost: number): Node[] =>
  Array.from({ length: ready + lost }, (_, i) => ({
    metadata: { name: `${zone}${i}`, labels: { "topology.kubernetes.io/zone": zone } },
    status: { conditions: [{ type: "Ready", status: i < ready ? "True" : "Unknown" }] },
  }));

test("zones are given up slowly when many of their nodes fail, and not at all when all nodes do", () => {
  const rates = (...given: Node[][]) => [...ratesOf(given.flat()).values()];
  deepEqual(rates(nodes("a", 9, 1)), [0.1]);
  deepEqual(rates(nodes("a", 1, 2)), [0.1], "two nodes are no outage");
  deepEqual(rates(nodes("a", 4, 6)), [0], "a small zone waits");
  deepEqual(rates(nodes("a", 20, 40)), [0.01], "a large one goes on slowly");
  deepEqual(rates(nodes("a", 0, 5), nodes("b", 3, 0)), [0.1, 0.1], "a zone that is lost while others live is lost");
  deepEqual(rates(nodes("a", 0, 5), nodes("b", 0, 3)), [0, 0]);
});

test("one node goes at once and the next at the zone's rate", () => {
  const limits = new ZoneLimits();
  deepEqual(limits.take("a", 0.1, 0), 0);
  deepEqual(limits.take("a", 0.1, 0), 10_000);
  deepEqual(limits.take("b", 0.1, 0), 0);
  deepEqual(limits.take("a", 0.1, 4000), 6000);
  deepEqual(limits.take("a", 0, 10_000), undefined);
  deepEqual(limits.take("a", 0.1, 16_000), 0, "the time without a rate does not count");
});
