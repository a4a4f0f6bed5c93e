/**
 * The small proof for cells (decisions/083): a tenant moves from one database to another while it is written to and watched. What
 * moves it is here and not in the product: guards, compare-and-swap and the counter are all it needs of the store.
 */
import assert from "node:assert/strict";
import { it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import type { Key, Revision, Scope, Store, WatchEvent } from "#platform/store/port.ts";
import { ensurePartitions, PARTITION_REVISIONS } from "#platform/store/postgres/partitions.ts";
import { Session } from "#platform/store/postgres/session.ts";
import { COUNTER_ROW } from "#platform/store/postgres/statements.ts";
import { create, documentOf, key, put, remove, update } from "#platform/store/testing.ts";
import { createStore } from "./store.ts";

const TENANT = 1_000_007;
const scope: Scope = { tenant: TENANT, resource: "configmaps" };
const keyOf = (name: string, more: Partial<Key> = {}): Key => key(name, { tenant: TENANT, ...more });
/** Every write of the tenant is guarded by it: once it is terminating no write of the tenant is taken in this cell. */
const home = keyOf("home", { resource: "homes", namespace: "" });
const guards = [{ key: home, notTerminating: true }];
const present = { type: "consistent" } as const;

interface Cell {
  url: string;
  store: Store;
}

async function cell(context: TestContext): Promise<Cell> {
  const db = await withTestDatabase();
  const open = createStore({ databaseUrl: db.url, log: silentLog });
  context.after(async () => {
    await open.close();
    await db.remove();
  });
  await open.ready;
  return { url: db.url, store: open.store };
}

/** Where the tenant lives, as whatever routes requests knows it; places before `since` were in another cell. */
interface Home {
  cell: Cell;
  since: Revision;
}

/** After it nothing of the tenant can be written in the old cell, and all it has is in the new one, at later revisions. */
async function move(from: Cell, to: Cell): Promise<Home> {
  const fence = await from.store.get(home, present);
  assert.ok(fence);
  // The second change is one that the tenant's watchers see: after it they have all there was here.
  const operations = [update(home, fence, "moving", { terminating: true }), create(keyOf("moved"), "0")];
  const closed = await from.store.write({ operations });
  const since = closed.ok ? closed.revisions[1] : undefined;
  assert.ok(since);
  const session = await Session.open(to.url, "move");
  await session.query({ text: `UPDATE counter SET revision = greatest(revision, ${since}) WHERE ${COUNTER_ROW}` });
  await ensurePartitions(session, PARTITION_REVISIONS);
  await session.close();
  const { objects } = await from.store.list({ scope, freshness: present });
  for (const { key: at, uid, document, labels, fields } of objects)
    await put(to.store, {
      type: "create",
      key: at,
      object: { uid, document, labels: { ...labels }, fields: { ...fields }, terminating: false },
    });
  await put(to.store, create(home));
  return { cell: to, since };
}

/** What an informer has: the newest version of each object, and its place. */
class Follower {
  readonly seen = new Map<string, number>();
  readonly went: string[] = [];
  place: Revision = 0;
  stop = new AbortController();

  take(events: readonly WatchEvent[]): void {
    for (const event of events) {
      const { revision } = event.type === "change" ? event.change : event;
      assert.ok(revision > this.place, "revisions rise, over the move too");
      this.place = revision;
      if (event.type !== "change") continue;
      const { key: at, document } = event.change.object;
      const value = Number(JSON.parse(document).data.data);
      if (event.change.type === "deleted") {
        this.seen.delete(at.name);
        continue;
      }
      if (value < (this.seen.get(at.name) ?? 0))
        this.went.push(`${at.name} from ${this.seen.get(at.name)} to ${value}`);
      this.seen.set(at.name, value);
    }
  }

  /** Reads on from its place until it is stopped. */
  async follow({ cell: { store }, since }: Home): Promise<void> {
    assert.ok(this.place >= since, "whoever is behind the move is told 410 and lists again");
    this.stop = new AbortController();
    const watch = store.watch({ scope, after: this.place, bookmarks: true, signal: this.stop.signal });
    for await (const events of watch) this.take(events);
  }
}

it("a tenant moves to another database under load: no acknowledged write is lost, its watch goes on, nothing goes back", async (context) => {
  const [a, b] = [await cell(context), await cell(context)];
  // The cells' counters have nothing to do with each other.
  for (let i = 0; i < 40; i++) await put(b.store, create(key(`other-${i}`)));
  await put(a.store, create(home));
  for (let i = 0; i < 8; i++) await put(a.store, create(keyOf(`k-${i}`), "0"), { guards });
  await put(a.store, create(keyOf("short-lived"), "0"), { guards });
  const start = await a.store.list({ scope, freshness: present });
  let at: Home = { cell: a, since: 0 };
  const follower = new Follower();
  follower.place = start.revision;
  for (const { key: k } of start.objects) follower.seen.set(k.name, 0);

  const acknowledged = new Map<string, number>();
  let writing = true;
  let last = 0;
  const writers = Array.from({ length: 8 }, async (_, i) => {
    const one = keyOf(`k-${i}`);
    for (let value = 1; writing; ) {
      const { store } = at.cell;
      const held = await store.get(one, present);
      const object = documentOf(one, String(value), held ? { uid: held.uid } : {});
      const result =
        held &&
        (await store.write({
          operations: [{ type: "update", key: one, object, expected: { uid: held.uid, revision: held.revision } }],
          guards,
        }));
      // Refused while the tenant is on its way: asked again, wherever it lives by then.
      if (!result?.ok) await sleep(5);
      else {
        last = Math.max(last, ...result.revisions);
        acknowledged.set(one.name, value++);
      }
    }
  });
  const until = async (condition: () => boolean) => {
    while (!condition()) await sleep(5);
  };
  const stopAt = async (place: Revision, following: Promise<void>) => {
    await until(() => follower.place >= place);
    follower.stop.abort();
    await following;
  };
  const onOld = follower.follow(at);
  await until(() => acknowledged.size === 8);
  const gone = await a.store.get(keyOf("short-lived"), present);
  assert.ok(gone);
  await put(a.store, remove(gone.key, gone), { guards });

  const next = await move(a, b);
  // The old cell's stream goes on to the fence, and only then to the new one.
  await stopAt(next.since, onOld);
  at = next;
  const before = new Map(acknowledged);
  const onNew = follower.follow(at);
  await until(() => [...before].every(([name, value]) => (acknowledged.get(name) ?? 0) > value + 5));
  writing = false;
  await Promise.all(writers);
  await stopAt(last, onNew);

  assert.deepEqual(follower.went, []);
  assert.equal(follower.seen.has("short-lived"), false);
  for (const [name, value] of acknowledged) assert.equal(follower.seen.get(name), value, name);
  assert.deepEqual(await a.store.write({ operations: [create(keyOf("late"))], guards }), {
    ok: false,
    why: "guard",
    guard: 0,
  });
});
