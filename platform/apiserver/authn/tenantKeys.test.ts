import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { test } from "node:test";
import { signingKey } from "./jwt.ts";
import { authorityName, TenantKeys, tenantOfAuthority } from "./tenantKeys.ts";

const pem = () =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const [secret, rootTokens] = [pem(), pem()];
const keys = () => new TenantKeys(secret, signingKey(rootTokens));
const publicText = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();

test("every server that has root's secret derives the same keys, and another secret gives others", () => {
  const [one, two, other] = [keys(), keys(), new TenantKeys(pem(), signingKey(rootTokens))];
  for (const tenant of [2, 3, 1_000_000]) {
    assert.equal(publicText(one.authority(tenant).publicKey), publicText(two.authority(tenant).publicKey));
    assert.equal(one.tokens(tenant).keyId, two.tokens(tenant).keyId);
    assert.notEqual(one.tokens(tenant).keyId, other.tokens(tenant).keyId);
    assert.notEqual(publicText(one.authority(tenant).publicKey), publicText(other.authority(tenant).publicKey));
  }
});

test("no two tenants, and no two purposes of one, share a key", () => {
  const made = keys();
  const tenants = Array.from({ length: 50 }, (_, i) => i + 2);
  const all = tenants.flatMap((t) => [made.authority(t).publicKey, made.tokens(t).publicKey]).map(publicText);
  assert.equal(new Set(all).size, all.length);
});

test("a derived key signs, and its own public half alone verifies", () => {
  const made = keys();
  const data = Buffer.from("x");
  const signature = sign("sha256", data, made.authority(2).privateKey);
  assert.ok(verify("sha256", data, made.authority(2).publicKey, signature));
  assert.ok(!verify("sha256", data, made.authority(3).publicKey, signature));
  assert.ok(!verify("sha256", data, made.tokens(2).publicKey, signature));
});

test("root's tokens are signed by root's own key, which is not derived", () => {
  assert.equal(keys().tokens(1).keyId, signingKey(rootTokens).keyId);
});

test("an authority's name is its tenant's number and nothing else", () => {
  assert.equal(tenantOfAuthority(authorityName(42)), 42);
  for (const name of [
    "42",
    "capstan:tenant:",
    "capstan:tenant:0",
    "capstan:tenant:01",
    "capstan:tenant:-1",
    "capstan:tenant:4 2",
    "capstan:tenant:1e3",
    "capstan:tenant:9999999999999999",
  ])
    assert.equal(tenantOfAuthority(name), undefined, name);
});
