import assert from "node:assert/strict";
import { test } from "node:test";
import { hasSomething, projector, textsAt } from "./projection.ts";

const object = {
  metadata: { name: "a", labels: { x: "1" } },
  spec: { containers: [{ name: "c", image: "i" }, { image: "j" }], other: true },
};

test("only what is declared crosses, and places in lists stay", () => {
  const text = projector(["metadata.labels", "spec.containers.name", "spec.none"])(object);
  assert.deepEqual(JSON.parse(text), { metadata: { labels: { x: "1" } }, spec: { containers: [{ name: "c" }, {}] } });
});

test("without a declaration the whole object crosses; without an object the empty text", () => {
  assert.deepEqual(JSON.parse(projector(undefined)(object)), object);
  assert.equal(projector(["a"])(undefined), "");
  assert.equal(projector([])(undefined), "");
});

test("a concern is something that is not empty at a path, also inside lists, or a text", () => {
  const has = hasSomething(["spec.a", "spec.list.when=Now"]);
  assert.ok(has({ spec: { a: [1] } }));
  assert.ok(!has({ spec: { a: [], list: [{ when: "Later" }] } }));
  assert.ok(has({ spec: { list: [{ when: "Later" }, { when: "Now" }] } }));
  assert.ok(!hasSomething([])({}));
});

test("texts at paths are found in lists too, each once", () => {
  const keys = textsAt(["spec.rules.key", "spec.more.term.key", "spec.none"]);
  const spec = { rules: [{ key: "zone" }, { key: "host" }, { key: 3 }, {}], more: [{ term: { key: "zone" } }] };
  assert.deepEqual(keys({ spec }), ["zone", "host"]);
  assert.deepEqual(keys({}), []);
});
