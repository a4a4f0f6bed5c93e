/** Nearly equal objects share what is equal, and read as they were written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { key } from "../testing.ts";
import { Repeated } from "./repeated.ts";

const role = (tenant: number, more = "") => {
  const uid = `f0e1d2c3-8000-4fff-a00${tenant}-00000000000${tenant}`;
  const at = `2026-01-0${tenant}T00:00:00Z`;
  const metadata = {
    name: "admin",
    uid,
    creationTimestamp: at,
    managedFields: [{ time: `2026-02-0${tenant}T00:00:00Z` }],
  };
  const document = JSON.stringify({ kind: "ClusterRole", metadata, rules: [{ verbs: ["*"], of: uid, more }] });
  const fields = { "metadata.name": "admin" };
  return { key: key("admin", { tenant }), uid, revision: tenant, document, labels: {}, fields };
};

test("a shared object reads as the object it was made from", () => {
  const repeated = new Repeated();
  const named = { uid: "of another kind" };
  for (const object of [role(1), role(2), role(3, "another text"), { ...role(4), uid: "" }, { ...role(5), ...named }]) {
    const { document, key: at, uid, revision, labels, fields } = repeated.share(object);
    assert.deepEqual({ document, key: at, uid, revision, labels, fields }, object);
  }
});

test("what is equal is kept once, whoever asks", () => {
  const repeated = new Repeated();
  const [one, two] = [repeated.share(role(1)), repeated.share(role(2))];
  assert.equal(one.fields, two.fields);
  assert.notEqual(one.document, two.document);
});

test("an encrypted object stays as it is: it says by what", () => {
  const sealed = { ...role(1), sealedBy: "aesgcm:one" };
  assert.equal(new Repeated().share(sealed), sealed);
});
