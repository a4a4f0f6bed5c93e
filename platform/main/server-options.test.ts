import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeServerOptions, parseServerOptions } from "./server-options.ts";

const parsed = (given: Record<string, string>) => parseServerOptions((flag) => given[flag]);

test("options have kube-apiserver's names, and files absolute paths", () => {
  assert.deepEqual(parsed({ "authorization-mode": "Node,RBAC", "anonymous-auth": "false" }), {
    authorizationMode: "Node,RBAC",
    anonymousAuth: "false",
  });
  assert.equal(parsed({ "audit-policy-file": import.meta.filename }).auditPolicyFile, import.meta.filename);
});

test("what cannot be meant is refused, with what to use instead", () => {
  assert.throws(() => parsed({ "basic-auth-file": "/x" }), /basic authentication.*--authentication-config/);
  assert.throws(() => parsed({ "oidc-issuer-url": "https://x" }), /AuthenticationConfiguration/);
  assert.throws(() => parsed({ "encryption-provider-config": "/does/not/exist" }), /does not exist/);
  assert.throws(() => parsed({ "anonymous-auth": "maybe" }), /true or false/);
  assert.throws(() => parsed({ "feature-gates": "Nope=true" }), /unrecognized feature gate: Nope/);
});

test("what was given once holds until it is given anew or taken back", () => {
  const before = { authorizationMode: "RBAC", anonymousAuth: "false" };
  assert.deepEqual(mergeServerOptions(before, { anonymousAuth: "true" }), { ...before, anonymousAuth: "true" });
  assert.deepEqual(mergeServerOptions(before, { anonymousAuth: "" }), { authorizationMode: "RBAC" });
  assert.equal(mergeServerOptions({ anonymousAuth: "false" }, { anonymousAuth: "" }), undefined);
  assert.equal(mergeServerOptions(undefined, {}), undefined);
});
