import { deepEqual, equal, ok } from "node:assert/strict";
import test from "node:test";
import { createFakeApi } from "../testing/fake-api.ts";
import { until } from "../testing/until.ts";
import { runController } from "./controller.ts";
import { LEASES, leaderElect } from "./leader.ts";
import { noLog } from "./log.ts";
import { type CoreEvent, createRecorder, EVENTS } from "./recorder.ts";
import { createWorkQueue } from "./workqueue.ts";

test("a key that is added while it is processed is processed once more, never by two workers at once", async () => {
  const queue = createWorkQueue();
  queue.add("a");
  queue.add("a");
  equal(await queue.take(), "a");
  queue.add("a");
  queue.add("b");
  equal(await queue.take(), "b");
  equal(queue.length(), 0);
  queue.done("a");
  equal(await queue.take(), "a");
  equal(queue.length(), 0);
});

test("addAfter adds once, at the earliest wish", async () => {
  const queue = createWorkQueue();
  queue.addAfter("a", 60_000);
  queue.addAfter("a", 1);
  equal(await queue.take(), "a");
  queue.shutDown();
  equal(await queue.take(), undefined);
});

test("a failed reconcile is tried again until it succeeds, and its failures are then forgotten", async () => {
  const queue = createWorkQueue();
  const stop = new AbortController();
  let tries = 0;
  const running = runController({
    name: "test",
    queue,
    workers: 2,
    log: noLog,
    signal: stop.signal,
    async reconcile() {
      if (++tries < 3) throw new Error("not yet");
    },
  });
  queue.add("k");
  await until(() => tries === 3 && queue.failures("k") === 0);
  stop.abort();
  await running;
});

const election = { name: "e", leaseDurationMs: 400, renewDeadlineMs: 250, retryPeriodMs: 30, log: noLog };

test("one leads at a time; when it stops it releases and the other takes over", async () => {
  const api = createFakeApi();
  const leading = new Set<string>();
  const order: string[] = [];
  const join = (identity: string) => {
    const stop = new AbortController();
    const done = leaderElect({
      ...election,
      client: api.client,
      identity,
      signal: stop.signal,
      async lead(signal) {
        leading.add(identity);
        order.push(identity);
        equal(leading.size, 1);
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        leading.delete(identity);
      },
    });
    return { stop, done };
  };
  const first = join("one");
  await until(() => leading.has("one"));
  const second = join("two");
  first.stop.abort();
  await first.done;
  await until(() => leading.has("two"));
  second.stop.abort();
  await second.done;
  deepEqual(order, ["one", "two"]);
  const lease = await api.client.get<{ metadata: object; spec: { holderIdentity: string; leaseTransitions: number } }>(
    LEASES,
    {
      namespace: "kube-system",
      name: "e",
    },
  );
  equal(lease.spec.holderIdentity, "");
});

test("a lease that is let go, or runs out, is taken at that moment, however seldom one would look", async () => {
  const api = createFakeApi();
  const seldom = { ...election, client: api.client, retryPeriodMs: 3_600_000 };
  const spec = { holderIdentity: "killed", leaseDurationSeconds: 1 };
  const metadata = { name: election.name, namespace: "kube-system" };
  await api.client.create(LEASES, { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec } as never);
  const order: string[] = [];
  const join = (identity: string, leaseDurationMs: number) => {
    const stop = new AbortController();
    const lead = async (signal: AbortSignal) => {
      order.push(identity);
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    };
    const done = leaderElect({ ...seldom, leaseDurationMs, identity, signal: stop.signal, lead });
    return { stop, done };
  };
  const first = join("one", 300);
  await until(() => order.length === 1);
  const second = join("two", 3_600_000);
  first.stop.abort();
  await first.done;
  await until(() => order.length === 2);
  second.stop.abort();
  await second.done;
  deepEqual(order, ["one", "two"]);
});

test("a leader that cannot renew gives up before its lease runs out", async () => {
  const api = createFakeApi();
  const stop = new AbortController();
  let led = 0;
  let lost = 0;
  const done = leaderElect({
    ...election,
    client: api.client,
    identity: "one",
    signal: stop.signal,
    async lead(signal) {
      led++;
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      lost++;
    },
  });
  await until(() => led === 1);
  api.intercept(() => {
    throw new Error("the server is away");
  });
  await until(() => lost === 1);
  api.intercept(undefined);
  await until(() => led === 2);
  stop.abort();
  await done;
});

test("an event that happens again raises its count, and a different one is its own", async () => {
  const api = createFakeApi();
  const recorder = createRecorder({ client: api.client, component: "tester" });
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "default", uid: "u" } };
  for (let i = 0; i < 3; i++) recorder.event(pod, "Warning", "Failed", "no luck");
  recorder.event(pod, "Normal", "Started", "Started it");
  await recorder.flush();
  recorder.event(pod, "Warning", "Failed", "no luck");
  await recorder.flush();
  const { items } = await api.client.list<CoreEvent>(EVENTS, { namespace: "default" });
  deepEqual(
    items.map((e) => [e.reason, e.count, e.source.component, e.involvedObject.name]),
    [
      ["Failed", 4, "tester", "p"],
      ["Started", 1, "tester", "p"],
    ],
  );
});

test("many events that differ only in their text become one, and a flood is muted", async () => {
  const api = createFakeApi();
  const recorder = createRecorder({ client: api.client, component: "tester" });
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "default", uid: "u" } };
  for (let i = 0; i < 100; i++) recorder.event(pod, "Warning", "Failed", `no luck ${i}`);
  await recorder.flush();
  const { items } = await api.client.list<CoreEvent>(EVENTS, { namespace: "default" });
  ok(items.length <= 11);
  const combined = items.find((e) => e.message.startsWith("(combined from similar events): "));
  equal(combined?.count, 15);
});
