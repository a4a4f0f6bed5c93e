import assert from "node:assert/strict";
import { test } from "node:test";
import { capabilitiesText } from "./approval.ts";
import { capabilitySchema } from "./manifest.ts";

const asked = (capability: object) => [capabilitySchema.parse({ reason: "the test asks", ...capability })];

test("whoever approves sees which links, directories and devices are meant", () => {
  assert.match(capabilitiesText(asked({ name: "net", table: "mine", links: ["p0"] })), /table mine, links p0\*/);
  const mount = { name: "mount", trees: { a: "/mnt/a" }, devices: ["/dev/disk/by-id/x-"] };
  assert.match(capabilitiesText(asked(mount)), /\/mnt\/a, \/dev\/disk\/by-id\/x-\*/);
});
