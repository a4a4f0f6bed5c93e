import { deepEqual, equal } from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { Pod } from "#sdk/api/generated/types.ts";
import { createSchedulingQueue } from "./queue.ts";

const pod = (priority = 0, labels = {}): Pod => ({ metadata: { labels }, spec: { containers: [], priority } });
function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const queue = createSchedulingQueue();
  t.after(() => queue.close());
  return queue;
}

test("higher priority goes first, then who came first", async (t) => {
  const queue = setUp(t);
  queue.put("low", pod());
  queue.put("low-later", pod());
  queue.put("high", pod(10));
  const order = [await queue.take(), await queue.take(), await queue.take()];
  deepEqual(
    order.map((item) => item?.key),
    ["high", "low", "low-later"],
  );
});

test("what fits nowhere waits for an event, then for its back-off", async (t) => {
  const queue = setUp(t);
  queue.put("a", pod());
  const item = await queue.take();
  queue.failed(item!, ["node"]);
  deepEqual(queue.counts(), { active: 0, backoff: 0, unschedulable: 1, inFlight: 0 });
  queue.move("node");
  equal(queue.counts().backoff, 1);
  t.mock.timers.tick(1_000);
  equal((await queue.take())?.attempts, 2);
});

test("an event during the attempt is not lost", async (t) => {
  const queue = setUp(t);
  queue.put("a", pod());
  const item = await queue.take();
  queue.move("node");
  queue.failed(item!, ["node"]);
  equal(queue.counts().backoff, 1);
});

test("the back-off doubles up to its bound", async (t) => {
  const queue = setUp(t);
  queue.put("a", pod());
  for (const ms of [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]) {
    queue.failed((await queue.take())!, []);
    t.mock.timers.tick(ms - 1);
    equal(queue.counts().backoff, 1);
    t.mock.timers.tick(1);
    equal(queue.counts().active, 1);
  }
});

test("a changed pod is tried again, a status update is no change", async (t) => {
  const queue = setUp(t);
  queue.put("a", pod());
  queue.failed((await queue.take())!, ["node"]);
  queue.put("a", { ...pod(), status: { phase: "Pending" } });
  equal(queue.counts().unschedulable, 1);
  queue.put("a", pod(0, { changed: "yes" }));
  equal(queue.counts().backoff, 1);
});

test("a removed pod is not handed out", async (t) => {
  const queue = setUp(t);
  queue.put("a", pod());
  queue.put("b", pod());
  queue.remove("a");
  equal((await queue.take())?.key, "b");
});

test("what does not help leaves a pod where it is", async (t) => {
  const queue = setUp(t);
  queue.put("a", pod());
  queue.failed((await queue.take())!, ["podGone", "other"]);
  queue.move("node");
  queue.move("podPlaced");
  equal(queue.counts().unschedulable, 1);
  queue.move("podGone");
  equal(queue.counts().backoff, 1);
  queue.move("other");
  equal(queue.counts().backoff, 1);
});

test("what looks like another is taken before those between them, and never one of another priority", async (t) => {
  const queue = setUp(t);
  queue.put("a1", pod(0, { app: "a" }));
  queue.put("b1", pod(0, { app: "b" }));
  queue.put("high", pod(10, { app: "a" }));
  queue.put("a2", pod(0, { app: "a" }));
  queue.put("a3", pod(0, { app: "a" }));
  equal((await queue.take())?.key, "high");
  const first = (await queue.take())!;
  equal(first.key, "a1");
  const like = queue.takeLike(first, () => true)!;
  equal(like.key, "a2");
  equal(
    queue.takeLike(first, () => false),
    undefined,
  );
  queue.giveBack(like);
  queue.giveBack(first);
  const order = [await queue.take(), await queue.take(), await queue.take(), await queue.take()];
  deepEqual(
    order.map((item) => item?.key),
    ["a1", "b1", "a2", "a3"],
  );
  equal(
    queue.takeLike(first, () => true),
    undefined,
  );
});
