import assert from "node:assert/strict";
import { test } from "node:test";
import { AuthenticationConfigurationError, parseAuthenticationConfiguration } from "./configuration.ts";

const OWN = "https://kubernetes.default.svc.cluster.local";
const ISSUER = { url: "https://issuer.example.com", audiences: ["capstan"] };
const USERNAME = { username: { claim: "sub", prefix: "" } };

const parsed = (jwt: object, more: object = {}) =>
  parseAuthenticationConfiguration(
    JSON.stringify({
      apiVersion: "apiserver.config.k8s.io/v1",
      kind: "AuthenticationConfiguration",
      jwt: [jwt],
      ...more,
    }),
    [OWN],
  );
const mapping = (claimMappings: object, more: object = {}) => {
  const [issuer] = parsed({ issuer: ISSUER, claimMappings, ...more }).issuers;
  assert.ok(issuer);
  return issuer.mapping;
};

test("claims become a user by their names, with prefixes", () => {
  const map = mapping({
    username: { claim: "email", prefix: "oidc:" },
    groups: { claim: "roles", prefix: "oidc:" },
    uid: { claim: "sub" },
  });
  const user = map({ email: "a@b.c", email_verified: true, roles: ["x", "y"], sub: "1", jti: "j" });
  assert.deepEqual(user, {
    name: "oidc:a@b.c",
    groups: ["oidc:x", "oidc:y"],
    uid: "1",
    extra: { "authentication.kubernetes.io/credential-id": ["JTI=j"] },
  });
  assert.deepEqual(map({ email: "a@b.c", roles: "x", sub: "1" }).groups, ["oidc:x"]);
  assert.throws(() => map({ email: "a@b.c", email_verified: false, sub: "1" }), /email not verified/);
  assert.throws(() => map({ sub: "1" }), /parse username claims "email"/);
});

test("claims become a user by expressions, and rules over claims and user hold", () => {
  const map = mapping(
    {
      username: { expression: "claims.sub + ':external-user'" },
      groups: { expression: "claims.roles.split(',')" },
      uid: { expression: "claims.sub" },
      extra: [{ key: "example.com/tenant", valueExpression: "claims.tenant" }],
    },
    {
      claimValidationRules: [
        { claim: "hd", requiredValue: "example.com" },
        { expression: "claims.exp - claims.nbf <= 86400", message: "total token lifetime must not exceed 24 hours" },
      ],
      userValidationRules: [
        { expression: "!user.username.startsWith('system:')", message: "username cannot used reserved system: prefix" },
      ],
    },
  );
  const claims = { sub: "me", roles: "a,b", tenant: "t", hd: "example.com", nbf: 0, exp: 60 };
  assert.deepEqual(map(claims), {
    name: "me:external-user",
    groups: ["a", "b"],
    uid: "me",
    extra: { "example.com/tenant": ["t"] },
  });
  assert.throws(() => map({ ...claims, exp: 86401 }), /must not exceed 24 hours/);
  assert.throws(() => map({ ...claims, hd: "other" }), /required claim hd value does not match/);
  assert.throws(() => map({ ...claims, sub: "system:node" }), /reserved system: prefix/);
  assert.throws(() => map({ roles: "a" }), /error evaluating username claim expression/);
});

for (const [name, jwt, why] of [
  [
    "an issuer without TLS",
    { issuer: { ...ISSUER, url: "http://x" }, claimMappings: USERNAME },
    /scheme must be https/,
  ],
  ["this server's own issuer", { issuer: { ...ISSUER, url: OWN }, claimMappings: USERNAME }, /disallowed issuers/],
  [
    "several audiences without a policy",
    { issuer: { ...ISSUER, audiences: ["a", "b"] }, claimMappings: USERNAME },
    /must be MatchAny/,
  ],
  ["a claim without prefix", { issuer: ISSUER, claimMappings: { username: { claim: "sub" } } }, /prefix is required/],
  [
    "claim and expression",
    { issuer: ISSUER, claimMappings: { username: { claim: "sub", prefix: "", expression: "claims.sub" } } },
    /can't both be set/,
  ],
  ["no username", { issuer: ISSUER, claimMappings: { username: {} } }, /claim or expression is required/],
  [
    "an email nobody verified",
    { issuer: ISSUER, claimMappings: { username: { expression: "claims.email" } } },
    /email_verified must be used/,
  ],
  [
    "an expression of a wrong type",
    { issuer: ISSUER, claimMappings: { username: { expression: "1" } } },
    /must evaluate to string/,
  ],
  [
    "an expression that does not compile",
    { issuer: ISSUER, claimMappings: { username: { expression: "claims.(" } } },
    /compilation failed/,
  ],
  [
    "a reserved extra key",
    { issuer: ISSUER, claimMappings: { ...USERNAME, extra: [{ key: "x.k8s.io/a", valueExpression: "'a'" }] } },
    /reserved/,
  ],
  ["an unknown field", { issuer: ISSUER, claimMappings: USERNAME, other: 1 }, /other/],
] as const) {
  test(`${name} is refused`, () => {
    assert.throws(
      () => parsed(jwt),
      (error) => error instanceof AuthenticationConfigurationError && why.test(error.message),
    );
  });
}

test("anonymous requests are for the named paths only", () => {
  const { anonymous } = parsed(
    { issuer: ISSUER, claimMappings: USERNAME },
    { anonymous: { enabled: true, conditions: [{ path: "/livez" }] } },
  );
  assert.equal(anonymous?.("/livez"), true);
  assert.equal(anonymous?.("/api"), false);
  assert.equal(
    parsed({ issuer: ISSUER, claimMappings: USERNAME }, { anonymous: { enabled: false } }).anonymous?.("/livez"),
    false,
  );
});
