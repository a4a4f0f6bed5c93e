import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigurationError, covers, parseConfiguration } from "./configuration.ts";

const KEY = Buffer.alloc(32, 7).toString("base64");
const configuration = (resources: string) =>
  `kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\nresources:\n${resources}`;
const one = (resources: string, providers: string) =>
  configuration(`- resources: ${resources}\n  providers: ${providers}\n`);

test("wildcards mean a group, the core group or everything", () => {
  assert.ok(covers("*.*", "widgets.example.com"));
  assert.ok(covers("*.", "secrets"));
  assert.ok(!covers("*.", "deployments.apps"));
  assert.ok(covers("*.apps", "deployments.apps"));
  assert.ok(!covers("*.apps", "secrets"));
  assert.ok(covers("secrets", "secrets"));
});

test("a configuration in upstream's form is read", () => {
  const [rule] = parseConfiguration(
    one(
      "[secrets]",
      `[{aesgcm: {keys: [{name: a, secret: ${KEY}}]}}, {kms: {apiVersion: v2, name: k, endpoint: "unix:///run/kms.sock", timeout: 2s}}, {identity: {}}]`,
    ),
  );
  assert.deepEqual(
    rule?.providers.map(({ kind }) => kind),
    ["aesgcm", "kms", "identity"],
  );
  assert.deepEqual(rule?.providers[1], { kind: "kms", name: "k", socket: "/run/kms.sock", timeoutMs: 2000 });
});

for (const [name, resources, providers, why] of [
  [
    "a key of a wrong length",
    "[secrets]",
    "[{aescbc: {keys: [{name: a, secret: aGVsbG8=}]}}]",
    /got 5, expected one of \[16 24 32\]/,
  ],
  ["a key that is not base64", "[secrets]", "[{aescbc: {keys: [{name: a, secret: '***'}]}}]", /must be base64 encoded/],
  [
    "two providers in one element",
    "[secrets]",
    `[{identity: {}, aescbc: {keys: [{name: a, secret: ${KEY}}]}}]`,
    /more than one provider/,
  ],
  ["no provider", "[secrets]", "[{}]", /does not contain any/],
  ["resources that mask each other", "[secrets, '*.']", "[{identity: {}}]", /overlapping/],
  ["a resource twice", "[secrets, secrets]", "[{identity: {}}]", /multiple times/],
  ["a star alone", "['*']", "[{identity: {}}]", /use '\*\.'/],
  ["KMS v1", "[secrets]", "[{kms: {name: k, endpoint: 'unix:///k'}}]", /only v2/],
  ["KMS by TCP", "[secrets]", "[{kms: {apiVersion: v2, name: k, endpoint: 'tcp://h:1'}}]", /only unix/],
] as const) {
  test(`${name} is refused, and no key is quoted`, () => {
    const text = one(resources, providers);
    assert.throws(
      () => parseConfiguration(text),
      (error) => error instanceof ConfigurationError && why.test(error.message) && !error.message.includes(KEY),
    );
  });
}
