import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeStatus } from "#sdk/api/generated/types.ts";
import { saysAlready } from "./node-object.ts";

const at = (time: string, ready: string): NodeStatus => ({
  addresses: [{ type: "Hostname", address: "n" }],
  conditions: [{ type: "Ready", status: ready, reason: "R", message: "m", lastHeartbeatTime: time }],
});

test("a later heartbeat alone is no news, and neither is what others keep in the status", () => {
  const known = { ...at("1", "True"), volumesInUse: ["v"] };
  assert.ok(saysAlready(known, at("2", "True")));
});

test("a node that somebody marked as silent, or that says something else now, is written again", () => {
  assert.equal(saysAlready(at("1", "Unknown"), at("2", "True")), false);
  assert.equal(saysAlready(undefined, at("2", "True")), false);
  assert.equal(saysAlready(at("1", "True"), { ...at("1", "True"), addresses: [] }), false);
});
