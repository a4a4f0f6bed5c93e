import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { difference } from "./compare.ts";
import { mutated, Random } from "./mutate.ts";

const status = (...fields: string[]) => ({
  code: 422,
  body: {
    kind: "Status",
    message: fields.join(", "),
    details: { causes: fields.map((field) => ({ reason: "FieldValueInvalid", message: "x", field })) },
  },
});

describe("the replies of two servers", () => {
  it("agree when only what must differ differs: uids, versions, times, allocated addresses", () => {
    const reply = (uid: string, ip: string) => ({
      code: 201,
      body: {
        metadata: { uid, resourceVersion: uid.length, creationTimestamp: "2026-01-01T00:00:00Z" },
        spec: { clusterIP: ip },
      },
    });
    assert.equal(difference(reply("a", "10.0.0.1"), reply("bb", "10.0.0.2")), undefined);
    assert.match(difference(reply("a", "10.0.0.1"), reply("bb", "None")) ?? "", /^\.spec\.clusterIP: original/);
  });

  it("agree when the same causes come in another order, and not when one is missing", () => {
    assert.equal(difference(status("a", "b"), status("b", "a")), undefined);
    assert.match(difference(status("a", "b"), status("a")) ?? "", /causes/);
  });

  it("agree when they differ in what only the original prints, and in names that a server makes up", () => {
    const refused = (message: string) => ({
      code: 422,
      body: { ...status("spec").body, message, details: { causes: [{ reason: "x", field: "spec", message }] } },
    });
    const told = "Forbidden: spec is immutable";
    assert.equal(difference(refused(`${told}\n  core.Spec{}`), refused(told)), undefined);
    const owned = (name: string) => ({ code: 200, body: { fieldsV1: { [`k:{"name":"${name}"}`]: {} } } });
    assert.equal(difference(owned("kube-api-access-abcde"), owned("kube-api-access-fghij")), undefined);
    assert.match(difference(owned("a"), owned("b")) ?? "", /^\.fieldsV1/);
  });

  it("differ first in their code, with what both said", () => {
    assert.equal(difference({ code: 201, body: {} }, status("a")), "code: original 201 , here 422 a");
  });
});

describe("what stands in no order", () => {
  it("is compared all the same: fields of a quoted document, owners of fields", () => {
    const refused = (document: object) => ({
      code: 422,
      body: { message: `Invalid value: ${JSON.stringify(JSON.stringify(document))}: wrong` },
    });
    assert.equal(difference(refused({ a: { b: 1, c: 2 } }), refused({ a: { c: 2, b: 1 } })), undefined);
    assert.match(difference(refused({ a: 1 }), refused({ a: 2 })) ?? "", /^\.message/);
    const owned = (...managers: string[]) => ({
      code: 200,
      body: { metadata: { managedFields: managers.map((manager) => ({ manager, operation: "Update" })) } },
    });
    assert.equal(difference(owned("one", "two"), owned("two", "one")), undefined);
  });
});

describe("a mutation", () => {
  const pod = {
    kind: "Pod",
    apiVersion: "v1",
    metadata: { name: "p", labels: { a: "b" } },
    spec: { containers: [{ name: "c" }] },
  };
  const gvk = { group: "", version: "v1", kind: "Pod" };

  it("is the same for the same seed, and changes something", () => {
    const [a, b] = [1, 1].map((seed) => mutated(new Random(seed), gvk, pod, 3));
    assert.deepEqual(a, b);
    assert.notDeepEqual(a, pod);
  });

  it("keeps kind and name, so that both servers are asked for the same object", () => {
    for (let seed = 0; seed < 200; seed++) {
      const { kind, metadata } = mutated(new Random(seed), gvk, pod, 4);
      assert.equal(kind, "Pod");
      assert.equal((metadata as { name: string }).name, "p");
    }
  });
});
