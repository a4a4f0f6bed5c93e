import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { keySet, signingKey, signToken, verifyToken } from "./jwt.ts";

const pemOf = (type: "rsa" | "ec") =>
  (type === "rsa"
    ? generateKeyPairSync("rsa", { modulusLength: 2048 })
    : generateKeyPairSync("ec", { namedCurve: "P-256" })
  ).privateKey
    .export({ type: "pkcs8", format: "pem" })
    .toString();

for (const type of ["rsa", "ec"] as const) {
  test(`a token signed by an ${type} key verifies by that key alone`, () => {
    const key = signingKey(pemOf(type));
    const token = signToken(key, { sub: "a" });
    assert.equal(verifyToken(key, token)?.sub, "a");
    assert.equal(verifyToken(signingKey(pemOf(type)), token), undefined);
  });
}

test("a changed claim, another algorithm and garbage are refused", () => {
  const key = signingKey(pemOf("rsa"));
  const [header, , signature] = signToken(key, { sub: "a" }).split(".");
  const claims = Buffer.from(JSON.stringify({ sub: "root" })).toString("base64url");
  assert.equal(verifyToken(key, `${header}.${claims}.${signature}`), undefined);
  const none = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  assert.equal(verifyToken(key, `${none}.${claims}.`), undefined);
  assert.equal(verifyToken(key, "a.b.c"), undefined);
});

test("the key set carries the public half only", () => {
  const text = JSON.stringify(keySet(signingKey(pemOf("rsa"))));
  assert.ok(text.includes('"kty":"RSA"'));
  assert.ok(!text.includes('"d":'));
});
