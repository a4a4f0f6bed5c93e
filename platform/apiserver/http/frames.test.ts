/** Watchers share the bytes of a change, and old ones are let go. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StoredObject } from "#platform/store/port.ts";
import { RecentFrames } from "./frames.ts";

const object = (name: string): StoredObject => ({
  key: { tenant: 1, resource: "pods", namespace: "default", name },
  uid: name,
  revision: 1,
  document: "{}",
  labels: {},
  fields: {},
});

test("a frame is made once for each type of event", () => {
  const frames = new RecentFrames();
  const one = object("one");
  let made = 0;
  const make = (type: string) => () => Buffer.from(`${type} ${++made}`);
  const first = frames.get(one, "ADDED", make("ADDED"));
  assert.equal(frames.get(one, "ADDED", make("ADDED")), first);
  assert.equal(String(frames.get(one, "MODIFIED", make("MODIFIED"))), "MODIFIED 2");
  assert.equal(String(frames.get(object("one"), "ADDED", make("ADDED"))), "ADDED 3");
});

test("the oldest are forgotten beyond the bytes", () => {
  const frames = new RecentFrames({ bytesMax: 3_000 });
  const objects = Array.from({ length: 10 }, (_, i) => object(`o-${i}`));
  let made = 0;
  const ask = (of: StoredObject) => frames.get(of, "ADDED", () => Buffer.alloc(800, ++made));
  for (const of of objects) ask(of);
  assert.equal(made, 10);
  ask(objects[9]!);
  assert.equal(made, 10);
  ask(objects[0]!);
  assert.equal(made, 11);
});

test("those that watchers who keep up have had are forgotten with the next", () => {
  let now = 0;
  const frames = new RecentFrames({ now: () => now });
  let made = 0;
  const ask = (of: StoredObject) => frames.get(of, "ADDED", () => Buffer.from(String(++made)));
  const [old, young] = [object("old"), object("young")];
  ask(old);
  now = 4_000;
  ask(young);
  now = 6_000;
  ask(object("new"));
  ask(young);
  assert.equal(made, 3);
  ask(old);
  assert.equal(made, 4);
});
