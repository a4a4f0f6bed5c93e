import assert from "node:assert/strict";
import { test } from "node:test";
import { handOf, Level, type LevelSpec, type Seat } from "./level.ts";

const queuing = { queues: 16, handSize: 2, lengthLimit: 3 };
const spec: LevelSpec = { name: "l", uid: "", exempt: false, shares: 1, lendable: 0, borrowing: undefined, queuing };
const never = new AbortController().signal;

function levelOf(seats: number, more: Partial<LevelSpec> = {}, spare = 0, clock?: () => number): Level {
  const level = new Level({ ...spec, ...more }, () => spare, clock);
  level.seats = seats;
  return level;
}
const enter = (level: Level, flow: string, waitMs = 1000) => level.enter(flow, waitMs, never);
function seated(level: Level, flow: string): Seat {
  const seat = enter(level, flow);
  assert.ok(!(seat instanceof Promise), "there is a seat");
  return seat;
}

test("what finds a seat goes on at once; what finds none waits until one is free", async () => {
  const level = levelOf(1);
  const first = seated(level, "a");
  const second = enter(level, "a");
  assert.equal(level.waiting, 1);
  level.finish(first);
  assert.equal(typeof (await second), "object");
  assert.deepEqual([level.executing, level.waiting], [1, 0]);
});

/** One seat, requests that last as `lasts` says: the order in which they were served. */
async function served(level: Level, flows: readonly string[], advance: (flow: string) => void): Promise<string[]> {
  const first = seated(level, flows[0] ?? "");
  const order: string[] = [];
  const waits = flows.slice(1).map(async (flow) => {
    const seat = await enter(level, flow);
    assert.ok(typeof seat === "object");
    order.push(flow);
    advance(flow);
    level.finish(seat);
  });
  advance(flows[0] ?? "");
  level.finish(first);
  await Promise.all(waits);
  return order;
}

test("a greedy flow does not keep a modest one waiting behind all of its own", async () => {
  const flows = ["greedy", "greedy", "greedy", "greedy", "greedy", "modest"];
  const order = await served(levelOf(1), flows, () => undefined);
  assert.equal(order.length, 5);
  assert.ok(order.indexOf("modest") < 3, order.join(" "));
});

test("seats are shared by the time that they are held: the slow are served less often", async () => {
  let now = 0;
  const level = levelOf(1, { queuing: { queues: 64, handSize: 1, lengthLimit: 100 } }, 0, () => now);
  const flows = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? "slow" : "quick"));
  assert.notDeepEqual(handOf("slow", 64, 1), handOf("quick", 64, 1));
  const order = await served(level, flows, (flow) => {
    now += flow === "slow" ? 100 : 10;
  });
  const early = order.slice(0, 16);
  assert.ok(early.filter((flow) => flow === "quick").length >= 12, early.join(" "));
});

test("who was idle saves nothing up", async () => {
  let now = 0;
  const level = levelOf(1, { queuing: { queues: 64, handSize: 1, lengthLimit: 100 } }, 0, () => now);
  const advance = () => {
    now += 10;
  };
  await served(
    level,
    Array.from({ length: 20 }, () => "busy"),
    advance,
  );
  const order = await served(
    level,
    ["busy", ...Array.from({ length: 20 }, (_, i) => (i < 10 ? "busy" : "late"))],
    advance,
  );
  assert.ok(order.slice(0, 10).includes("busy"), order.join(" "));
});

test("what is much work holds several seats: as many as the level allows, and nobody overtakes it", async () => {
  const level = levelOf(40, { queuing: { queues: 64, handSize: 8, lengthLimit: 50 } });
  assert.equal(level.widest, 5);
  const wide = (flow: string) => level.enter(flow, 1000, never, 10);
  const held = Array.from({ length: 7 }, (_, i) => wide(`w${i}`));
  assert.deepEqual([level.executing, level.held], [7, 35]);
  for (let i = 0; i < 3; i++) seated(level, `s${i}`);
  const next = wide("late");
  const behind = enter(level, "small");
  assert.deepEqual([level.held, level.waiting, level.asked], [38, 2, 6]);
  level.finish(held[0] as Seat);
  await Promise.all([next, behind]);
  assert.deepEqual([level.held, level.waiting, level.asked], [39, 0, 0]);
});

test("what wants more seats than there will ever be goes on when it's alone", async () => {
  const level = levelOf(20, { queuing: undefined });
  assert.equal(level.widest, 3);
  const narrow = levelOf(1);
  assert.equal(narrow.widest, 1);
  assert.ok(!(level.enter("a", 1000, never, 100) instanceof Promise));
  assert.equal(level.held, 3);
});

test("a wide request that leaves keeps nobody waiting", async () => {
  const level = levelOf(40, { queuing: { queues: 64, handSize: 8, lengthLimit: 50 } });
  for (let i = 0; i < 38; i++) seated(level, `s${i}`);
  const gone = new AbortController();
  const left = level.enter("w", 1000, gone.signal, 5);
  const small = enter(level, "small");
  gone.abort();
  assert.equal(await left, "cancelled");
  assert.equal(typeof (await small), "object");
});

test("a hand has different cards, the same for the same flow", () => {
  for (const flow of ["a", "b", "tenant/schema/user"]) {
    const hand = handOf(flow, 64, 8);
    assert.deepEqual([new Set(hand).size, hand.every((card) => card >= 0 && card < 64)], [8, true]);
    assert.deepEqual(handOf(flow, 64, 8), hand);
  }
  assert.deepEqual(handOf("a", 3, 8).toSorted(), [0, 1, 2]);
});

test("queues are bounded, and a level without queues refuses", async () => {
  const level = levelOf(1, { queuing: { queues: 1, handSize: 1, lengthLimit: 1 } });
  const first = seated(level, "a");
  const waits = enter(level, "a");
  assert.equal(await enter(level, "a"), "queue-full");
  level.finish(first);
  await waits;
  const strict = levelOf(1, { queuing: undefined });
  seated(strict, "a");
  assert.equal(await enter(strict, "a"), "concurrency-limit");
});

test("who leaves while waiting, or waits too long, holds no place", async () => {
  const level = levelOf(1);
  seated(level, "a");
  const gone = new AbortController();
  const left = level.enter("a", 1000, gone.signal);
  gone.abort();
  assert.equal(await left, "cancelled");
  assert.equal(await enter(level, "a", 1), "time-out");
  assert.equal(level.waiting, 0);
});

test("idle seats of others are borrowed, and exempt levels need none", () => {
  const level = levelOf(1, {}, 1);
  seated(level, "a");
  seated(level, "a");
  assert.equal(level.executing, 2);
  seated(levelOf(0, { exempt: true }), "a");
});
