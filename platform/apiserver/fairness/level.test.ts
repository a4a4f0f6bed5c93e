import assert from "node:assert/strict";
import { test } from "node:test";
import { Level, type LevelSpec } from "./level.ts";

const queuing = { queues: 16, handSize: 2, lengthLimit: 3 };
const spec: LevelSpec = { name: "l", uid: "", exempt: false, shares: 1, lendable: 0, borrowing: undefined, queuing };
const never = new AbortController().signal;

function levelOf(seats: number, more: Partial<LevelSpec> = {}, spare = 0): Level {
  const level = new Level({ ...spec, ...more }, () => spare);
  level.seats = seats;
  return level;
}

test("what finds a seat goes on at once; what finds none waits until one is free", async () => {
  const level = levelOf(1);
  assert.equal(level.enter("a", 1000, never), undefined);
  const second = level.enter("a", 1000, never);
  assert.equal(level.waiting, 1);
  level.finish();
  assert.equal(await second, undefined);
  assert.deepEqual([level.executing, level.waiting], [1, 0]);
});

test("a greedy flow does not keep a modest one waiting behind all of its own", async () => {
  const level = levelOf(1);
  level.enter("greedy", 1000, never);
  const order: string[] = [];
  const enter = (flow: string) => level.enter(flow, 1000, never)?.then(() => order.push(flow));
  const all = [enter("greedy"), enter("greedy"), enter("greedy"), enter("greedy"), enter("modest")];
  for (let i = 0; i < all.length; i++) {
    level.finish();
    await Promise.resolve();
  }
  await Promise.all(all);
  assert.equal(order.length, 5);
  assert.ok(order.indexOf("modest") < 3, order.join(" "));
});

test("queues are bounded, and a level without queues refuses", async () => {
  const level = levelOf(1, { queuing: { queues: 1, handSize: 1, lengthLimit: 1 } });
  level.enter("a", 1000, never);
  const waits = level.enter("a", 1000, never);
  assert.equal(await level.enter("a", 1000, never), "queue-full");
  level.finish();
  await waits;
  const strict = levelOf(1, { queuing: undefined });
  strict.enter("a", 1000, never);
  assert.equal(await strict.enter("a", 1000, never), "concurrency-limit");
});

test("who leaves while waiting, or waits too long, holds no place", async () => {
  const level = levelOf(1);
  level.enter("a", 1000, never);
  const gone = new AbortController();
  const left = level.enter("a", 1000, gone.signal);
  gone.abort();
  assert.equal(await left, "cancelled");
  assert.equal(await level.enter("a", 1, never), "time-out");
  assert.equal(level.waiting, 0);
});

test("idle seats of others are borrowed, and exempt levels need none", () => {
  const level = levelOf(1, {}, 1);
  assert.equal(level.enter("a", 1000, never), undefined);
  assert.equal(level.enter("a", 1000, never), undefined);
  assert.equal(level.executing, 2);
  const exempt = levelOf(0, { exempt: true });
  assert.equal(exempt.enter("a", 1000, never), undefined);
});
