import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import { sha256 } from "./sha256.ts";
import { userOf } from "./tokens.ts";

test("the digest is SHA-256's, whatever the length", () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000]) {
    const bytes = Buffer.alloc(length, "capstan");
    assert.equal(sha256(bytes), hash("sha256", bytes));
  }
});

test("a token is its user's until it expires, and nobody else's", () => {
  const token = Buffer.from("s3cret");
  const config = {
    tokens: [{ sha256: hash("sha256", token), user: "ci", groups: ["bots"], expires: "2026-01-01T00:00:00Z" }],
  };
  const now = Date.parse("2025-12-31T00:00:00Z");
  assert.deepEqual(userOf(config, token, now), { name: "ci", groups: ["bots"] });
  assert.equal(userOf(config, Buffer.from("other"), now), undefined);
  assert.equal(userOf(config, token, Date.parse("2026-01-01T00:00:00Z")), undefined);
  assert.equal(userOf({}, token, now), undefined);
});
