import assert from "node:assert/strict";
import { test } from "node:test";
import type { ListRequest, ListResult } from "#platform/store/port.ts";
import type { FlowRequest } from "./schemas.ts";
import { Widths } from "./width.ts";

const request = (more: Partial<FlowRequest> = {}): FlowRequest => ({
  user: { tenant: 1, name: "jane", groups: [] },
  isResource: true,
  verb: "list",
  path: "",
  group: "apps",
  resource: "deployments",
  subresource: "",
  namespace: "",
  ...more,
});

/** So many objects of so many bytes. */
function storeOf(count: number, bytes: number) {
  const asked: ListRequest[] = [];
  const list = async (what: ListRequest) => {
    asked.push(what);
    const objects = Array.from({ length: Math.min(count, what.limit ?? count) }, () => ({
      document: "x".repeat(bytes),
    }));
    return { objects, remaining: count - objects.length, revision: 1, more: false } as unknown as ListResult;
  };
  return { store: { list }, asked };
}

test("a list holds a seat for each 100 kB that it is going to read, up to ten", async () => {
  const cases: [count: number, bytes: number, more: Partial<FlowRequest>, seats: number][] = [
    [0, 0, {}, 1],
    [100, 1000, {}, 1],
    [101, 1000, {}, 2],
    [5000, 10_000, {}, 10],
    [5000, 10_000, { limit: 25 }, 3],
    [5000, 10_000, { name: "one" }, 1],
  ];
  for (const [count, bytes, more, seats] of cases) {
    const widths = new Widths(storeOf(count, bytes).store);
    assert.equal(await widths.of(request(more)), seats, JSON.stringify({ count, bytes, ...more }));
  }
});

test("what was found out holds for a second, and for its own scope", async () => {
  let now = 0;
  const { store, asked } = storeOf(1, 1);
  const widths = new Widths(store, () => now);
  await widths.of(request());
  await widths.of(request());
  assert.equal(asked.length, 1);
  await widths.of(request({ namespace: "a", tenants: "*" }));
  assert.deepEqual(asked[1]?.scope, { tenant: "*", resource: "deployments.apps", namespace: "a" });
  now = 1001;
  await widths.of(request());
  assert.equal(asked.length, 3);
});

test("a store that can't tell makes no list wait", async () => {
  const store = { list: () => Promise.reject(new Error("away")) };
  assert.equal(await new Widths(store).of(request()), 1);
  const behind = { list: () => new Promise<never>(() => undefined) };
  assert.equal(await new Widths(behind).of(request()), 1);
});
