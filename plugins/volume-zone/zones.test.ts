import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./zones.ts";

const ZONE = "topology.kubernetes.io/zone";
const claim = (zone: string) => [{ name: "c", volume: { labels: { [ZONE]: zone } } }];

test("a volume's zone, or one of its zones, is the node's; nodes without a zone take all", () => {
  assert.equal(judge(claim("a"), { [ZONE]: "a" }), undefined);
  assert.equal(judge(claim("a__b"), { "failure-domain.beta.kubernetes.io/zone": "b" }), undefined);
  assert.equal(judge(claim("a"), {}), undefined);
  assert.deepEqual(judge(claim("a"), { [ZONE]: "b" })?.reasons, ["node(s) had no available volume zone"]);
});
