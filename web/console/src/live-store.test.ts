import assert from "node:assert/strict";
import { test } from "node:test";
import { ageText } from "./age-text.ts";
import { LiveStore } from "./live-store.ts";
import { parseRoute, pathOf } from "./path.ts";

const store = () => new LiveStore<{ key: string; n: number }>(({ key }) => key);
const item = (key: string, n = 0) => ({ key, n });

test("keys stay in order whatever the order of changes", () => {
  const s = store();
  s.apply({ type: "reset", columns: [] });
  s.apply({ type: "page", items: [item("b"), item("d")] });
  s.apply({ type: "synced" });
  s.apply({ type: "changes", changes: ["c", "a", "e"].map((key) => ({ type: "put", item: item(key) })) });
  s.apply({
    type: "changes",
    changes: [
      { type: "remove", key: "d" },
      { type: "remove", key: "nothing" },
    ],
  });
  assert.deepEqual(s.keys, ["a", "b", "c", "e"]);
  assert.equal(s.phase, "live");
});

test("a change told twice counts once", () => {
  const s = store();
  for (let i = 0; i < 2; i++) s.apply({ type: "changes", changes: [{ type: "put", item: item("a", 1) }] });
  assert.deepEqual([...s.items.values()], [item("a", 1)]);
  assert.deepEqual(s.keys, ["a"]);
});

test("a reset forgets everything", () => {
  const s = store();
  s.apply({ type: "page", items: [item("a")] });
  s.apply({ type: "reset", columns: [] });
  assert.equal(s.items.size + s.keys.length, 0);
  assert.equal(s.phase, "listing");
});

test("a route is read back from its path", () => {
  const routes = [
    { tenant: "", namespace: "", place: "pods" },
    { tenant: "acme", namespace: "shop", place: "pods", object: { namespace: "shop", name: "web-1" } },
    { tenant: "", namespace: "", place: "nodes", object: { namespace: "", name: "n1" } },
  ];
  for (const route of routes) assert.deepEqual(parseRoute(pathOf(route)), route);
});

test("ages are short", () => {
  const at = Date.parse("2026-01-10T00:00:00Z");
  const before = (seconds: number) => ageText(new Date(at - seconds * 1000).toISOString(), at);
  assert.deepEqual([5, 125, 3 * 3600 + 60, 10 * 3600, 4 * 86400].map(before), ["5s", "2m", "3h1m", "10h", "4d"]);
  assert.equal(ageText("", at), "");
});
