import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeSwagger, partOf } from "./merge.ts";

const ref = (name: string) => ({ $ref: `#/definitions/${name}` });
const remote = {
  swagger: "2.0",
  paths: {
    "/apis/example.org/v1/foos": { get: { responses: { 200: { schema: ref("Foo") } } } },
    "/apis/example.org/v1beta1/foos": { get: { responses: { 200: { schema: ref("Old") } } } },
    "/healthz": { get: {} },
  },
  definitions: {
    Foo: { type: "object", properties: { metadata: ref("Meta"), next: ref("Foo") } },
    Meta: { type: "object", description: "theirs" },
    Old: { type: "object" },
    Unused: { type: "string" },
  },
};

test("of an extension server counts what is under its group version, with what that leads to", () => {
  const part = partOf(remote, "/apis/example.org/v1");
  assert.deepEqual(Object.keys(part?.paths ?? {}), ["/apis/example.org/v1/foos"]);
  assert.deepEqual(Object.keys(part?.definitions ?? {}).sort(), ["Foo", "Meta"]);
  assert.equal(partOf({ openapi: "3.0.0" }, "/apis"), undefined);
  assert.equal(partOf("text", "/apis"), undefined);
});

test("a name that means something else here is told apart, everywhere it is referred to", () => {
  const base = { swagger: "2.0", paths: { "/api/v1/pods": {} }, definitions: { Meta: { type: "object" } } };
  const part = partOf(remote, "/apis/example.org/v1");
  assert.ok(part);
  const merged = mergeSwagger(base, [part]);
  assert.deepEqual(merged["definitions"], {
    Meta: { type: "object" },
    Meta_v2: { type: "object", description: "theirs" },
    Foo: { type: "object", properties: { metadata: ref("Meta_v2"), next: ref("Foo") } },
  });
  assert.deepEqual(Object.keys(merged["paths"] as object), ["/api/v1/pods", "/apis/example.org/v1/foos"]);
  assert.deepEqual(Object.keys(base.paths), ["/api/v1/pods"]);
});
