import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { typeOf, types } from "#sdk/api/facts.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { strategicMergePatch } from "./strategic-merge-patch.ts";
import { typeCompiler } from "./types.ts";

const schema = typeOf({ group: "apps", version: "v1", kind: "Deployment" });
assert.ok(schema);
const deployment = typeCompiler(types())(schema);
const patch = (original: JsonObject, change: JsonObject) => strategicMergePatch(deployment, original, change);
const withContainers = (...containers: JsonObject[]): JsonObject => ({ spec: { template: { spec: { containers } } } });

describe("strategic merge patch", () => {
  it("merges containers by name and keeps the others in place", () => {
    const original = withContainers({ name: "a", image: "1" }, { name: "b", image: "1", tty: true });
    assert.deepEqual(
      patch(original, withContainers({ name: "b", image: "2" })),
      withContainers({ name: "a", image: "1" }, { name: "b", image: "2", tty: true }),
    );
  });
  it("puts an item with a new key before those only the server has", () => {
    assert.deepEqual(
      patch(withContainers({ name: "a" }), withContainers({ name: "b" })),
      withContainers({ name: "b" }, { name: "a" }),
    );
  });
  it("takes an item out by $patch: delete", () => {
    const change = withContainers({ name: "a", $patch: "delete" });
    assert.deepEqual(patch(withContainers({ name: "a" }, { name: "b" }), change), withContainers({ name: "b" }));
  });
  it("replaces a whole list by $patch: replace", () => {
    const change = withContainers({ name: "c" }, { $patch: "replace" });
    assert.deepEqual(patch(withContainers({ name: "a" }, { name: "b" }), change), withContainers({ name: "c" }));
  });
  it("replaces a map by $patch: replace and empties it by $patch: delete", () => {
    const original = { metadata: { labels: { a: "1", b: "2" } } };
    assert.deepEqual(patch(original, { metadata: { labels: { $patch: "replace", c: "3" } } }), {
      metadata: { labels: { c: "3" } },
    });
    assert.deepEqual(patch(original, { metadata: { labels: { $patch: "delete" } } }), { metadata: { labels: {} } });
  });
  it("clears what $retainKeys does not name", () => {
    const original = { spec: { strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } } } };
    assert.deepEqual(patch(original, { spec: { strategy: { $retainKeys: ["type"], type: "Recreate" } } }), {
      spec: { strategy: { type: "Recreate" } },
    });
  });
  it("refuses a $retainKeys that does not name what the patch sets", () => {
    assert.throws(
      () => patch({ spec: { strategy: {} } }, { spec: { strategy: { $retainKeys: ["type"], other: 1 } } }),
      (error) => error instanceof StatusError && error.code === 400,
    );
  });
  it("deletes from a list of scalars, and adds to it without doubling", () => {
    const original = { metadata: { finalizers: ["a/x", "b/x"] } };
    assert.deepEqual(patch(original, { metadata: { "$deleteFromPrimitiveList/finalizers": ["a/x"] } }), {
      metadata: { finalizers: ["b/x"] },
    });
    const added = patch(original, { metadata: { finalizers: ["b/x", "c/x"] } });
    assert.deepEqual(added, { metadata: { finalizers: ["a/x", "b/x", "c/x"] } });
  });
  it("orders by $setElementOrder, items only the server has between", () => {
    const original = withContainers({ name: "a" }, { name: "s" }, { name: "b" });
    const change = {
      spec: { template: { spec: { "$setElementOrder/containers": [{ name: "b" }, { name: "a" }] } } },
    };
    assert.deepEqual(patch(original, change), withContainers({ name: "s" }, { name: "b" }, { name: "a" }));
  });
  it("refuses a patch list out of the order it announces", () => {
    const change = {
      spec: {
        template: {
          spec: {
            containers: [{ name: "a" }, { name: "b" }],
            "$setElementOrder/containers": [{ name: "b" }, { name: "a" }],
          },
        },
      },
    };
    assert.throws(() => patch(withContainers(), change), { message: /doesn't match \$setElementOrder list/ });
  });
  it("refuses an item without its merge key", () => {
    assert.throws(() => patch(withContainers({ name: "a" }), withContainers({ image: "x" })), {
      message: /does not contain declared merge key: name/,
    });
  });
  it("replaces lists without a merge strategy and removes by null", () => {
    const original = withContainers({ name: "a", args: ["1", "2"], tty: true });
    assert.deepEqual(
      patch(original, withContainers({ name: "a", args: ["3"], tty: null })),
      withContainers({ name: "a", args: ["3"] }),
    );
  });
  it("leaves its inputs as they are", () => {
    const original = withContainers({ name: "a" });
    const change = withContainers({ name: "a", $patch: "delete" });
    const before = [structuredClone(original), structuredClone(change)];
    patch(original, change);
    assert.deepEqual([original, change], before);
  });
});
