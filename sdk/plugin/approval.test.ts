import assert from "node:assert/strict";
import { test } from "node:test";
import { unservedError } from "./approval.ts";
import { capabilitySchema } from "./manifest.ts";

const asked = (capability: object) => [capabilitySchema.parse({ reason: "the test asks", ...capability })];

test("what no part of the platform serves is nobody's to approve, and the reason says so", () => {
  assert.match(unservedError(asked({ name: "net", table: "mine" })) ?? "", /capability net is in the contract, but no/);
  assert.match(unservedError(asked({ name: "mount", trees: { a: "/mnt/a" } })) ?? "", /cannot be approved/);
  assert.equal(unservedError(asked({ name: "exec", programs: { ip: "ip" } })), undefined);
});
