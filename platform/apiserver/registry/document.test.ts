import assert from "node:assert/strict";
import { test } from "node:test";
import { TENANT_ANNOTATION } from "#sdk/api/object.ts";
import { withAnnotation } from "./document.ts";

const kind = { kind: "Pod", apiVersion: "v1" };
const spec = { template: { metadata: { annotations: { inner: "1" } } } };
const marked = (metadata: Record<string, unknown>) =>
  JSON.parse(withAnnotation(JSON.stringify({ ...kind, metadata, spec }), TENANT_ANNOTATION, 'a "b"')) as {
    metadata: { annotations: Record<string, string> };
    spec: unknown;
  };

test("an annotation is put into the text of a document, whatever else it has", () => {
  const tricky = '"annotations":{"x":"\\\\"}}]';
  const metadatas: Record<string, unknown>[] = [
    {},
    { name: "p" },
    { annotations: {} },
    { name: "p", annotations: { a: "1", b: tricky } },
    { labels: { annotations: tricky, "a\\": "\\" }, annotations: { c: "{" } },
    { name: tricky, managedFields: [{ fieldsV1: { "f:metadata": { "f:annotations": {}, annotations: { d: "}" } } } }] },
    { ownerReferences: [{ name: "[" }, { name: "}" }], annotations: { e: "]" }, uid: "u" },
  ];
  for (const metadata of metadatas) {
    const annotations = { ...(metadata["annotations"] as object | undefined), [TENANT_ANNOTATION]: 'a "b"' };
    assert.deepEqual(marked(metadata), { ...kind, metadata: { ...metadata, annotations }, spec });
  }
});

test("a document without metadata is an error, not another document", () => {
  assert.throws(() => withAnnotation("{}", "a", "b"), /without metadata/);
});
