/** What is decided without asking the database is what the database would have said (S2, S3). A store and its cache stand for an API server. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { systemClock } from "#platform/base/clock.ts";
import { silentLog } from "#platform/base/log.ts";
import { WatchCache } from "../cache/cache.ts";
import type { LedgerChange } from "../port.ts";
import { create, key, put, remove, update } from "../testing.ts";
import { Session } from "./session.ts";
import { PostgresStore } from "./store.ts";
import { verify } from "./verify.ts";

interface Server {
  store: PostgresStore;
  cache: WatchCache;
}

describe("what a server knows of the database", () => {
  let db: TestDatabase;
  let servers: [Server, Server];
  before(async () => {
    db = await withTestDatabase();
    const open = async (): Promise<Server> => {
      const store = new PostgresStore({
        databaseUrl: db.url,
        log: silentLog,
        clock: systemClock,
        partitionRevisions: 300,
      });
      const cache = new WatchCache({ backing: store, clock: systemClock, log: silentLog });
      await cache.loaded;
      return { store, cache };
    };
    servers = [await open(), await open()];
  });
  after(async () => {
    const checks = await verify(db.url);
    for (const { store, cache } of servers) {
      await cache.close();
      await store.close();
    }
    await db.remove();
    // The documents of this test name no tenant's objects and repeat names.
    for (const { name, violations, examples } of checks)
      if (name.startsWith("S1") || name.startsWith("S3") || name.startsWith("S4"))
        assert.equal(violations, 0, `${name}: ${examples.join("; ")}`);
  });

  const flights = ({ store }: Server, how: "one" | "two"): number => {
    const metric = store.metrics().find(({ name }) => name === "capstan_store_commits_total");
    const samples = metric?.type === "counter" ? metric.samples : [];
    return samples.find(({ labels }) => labels?.["flights"] === how)?.value ?? 0;
  };

  /** Until the server has read what the other wrote. */
  const caughtUp = async ({ cache }: Server) => void (await cache.get(key("any"), { type: "consistent" }));

  it("commits in one flight while nobody else writes: creates, updates, deletes, guards and ledgers", async () => {
    const [one] = servers;
    await put(one.cache, create(key("first")), {
      ledgers: [{ tenant: 1, ledger: "known", delta: { n: 1 }, enforce: false }],
    });
    const before = flights(one, "two");
    const guarded = key("guarded", { resource: "namespaces", namespace: "" });
    await put(one.cache, create(guarded));
    for (let i = 0; i < 20; i++) {
      const at = key(`alone-${i}`);
      const more = {
        guards: [{ key: guarded, notTerminating: true }],
        ledgers: [{ tenant: 1, ledger: "known", delta: { n: 1 }, enforce: true }],
        relaxed: i % 2 === 0,
      };
      const made = await put(one.cache, create(at), more);
      const changed = await put(one.cache, update(at, made, "changed"));
      if (i % 3 === 0) await put(one.cache, remove(at, changed));
    }
    assert.equal(flights(one, "two"), before, "nothing was asked");
    const rows = await sql<{ used: string }>("SELECT used FROM ledger WHERE ledger = 'known' AND resource = 'n'");
    assert.equal(Number(rows[0]?.used), 21);
  });

  async function sql<R>(text: string): Promise<R[]> {
    const session = await Session.open(db.url, "test");
    try {
      return await session.query<R>({ text });
    } finally {
      await session.close();
    }
  }

  it("refuses what the database would refuse, by its own writes of a moment ago", async () => {
    const [one] = servers;
    const at = key("twice");
    const made = await put(one.cache, create(at));
    const again = await one.cache.write({ operations: [create(at)] });
    assert.ok(!again.ok && again.why === "exists" && again.current?.uid === made.uid);
    await put(one.cache, update(at, made));
    const late = await one.cache.write({ operations: [update(at, made)] });
    assert.ok(!late.ok && late.why === "changed");
    const ending = key("ending", { resource: "namespaces", namespace: "" });
    const namespace = await put(one.cache, create(ending));
    await put(one.cache, update(ending, namespace, "", { terminating: true }));
    const guards = [{ key: ending, notTerminating: true }];
    const inside = await one.cache.write({ operations: [create(key("inside"))], guards });
    assert.ok(!inside.ok && inside.why === "guard");
  });

  it("does not trust what the other has changed meanwhile", async () => {
    const [one, two] = servers;
    const at = key("shared");
    const made = await put(one.cache, create(at));
    await caughtUp(two);
    for (let round = 0, held = made; round < 30; round++) {
      const results = await Promise.all(
        Array.from({ length: 6 }, (_, i) =>
          servers[(i + round) % 2]!.cache.write({ operations: [update(at, held, `${round}-${i}`)] }),
        ),
      );
      const won = results.filter((result) => result.ok);
      assert.equal(won.length, 1);
      held = { ...held, revision: won[0]!.revisions[0]! };
      // Sometimes one of them has not read the other's yet.
      if (round % 3 === 0) await caughtUp(servers[round % 2]!);
    }
  });

  it("looks at the log when somebody else turns out to have written, though no notification told of it", async (t) => {
    const [one] = servers;
    const store = new PostgresStore({
      databaseUrl: db.url,
      log: silentLog,
      clock: systemClock,
      partitionRevisions: 300,
      listen: false,
      pollMs: 600_000,
    });
    const deaf = { store, cache: new WatchCache({ backing: store, clock: systemClock, log: silentLog }) };
    t.after(async () => {
      await deaf.cache.close();
      await store.close();
    });
    await deaf.cache.loaded;
    const at = key("overheard");
    const made = await put(deaf.cache, create(at));
    await caughtUp(one);
    const changed = await put(one.cache, update(at, made, "by the other"));
    const late = await deaf.cache.write({ operations: [update(at, made, "too late")] });
    assert.ok(!late.ok && late.why === "changed" && late.current?.revision === changed.revision);
    // The test runner's own deadline ends it where the change never comes.
    const held = () => deaf.cache.get(at, { type: "atLeast", revision: 0 });
    while ((await held())?.revision !== changed.revision) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it("keeps ledgers within their limits with two that believe to know them", async () => {
    const change = (delta: number, more: Partial<LedgerChange> = {}): LedgerChange => ({
      tenant: 1,
      ledger: "narrow",
      delta: { n: delta },
      enforce: true,
      ...more,
    });
    await put(servers[0].cache, create(key("limit")), { ledgers: [change(0, { limits: { n: 40 } })] });
    const results: boolean[] = [];
    for (let i = 0; i < 30; i++)
      results.push(
        ...(await Promise.all(
          servers.map(async ({ cache }, n) => {
            const { ok } = await cache.write({ operations: [create(key(`narrow-${n}-${i}`))], ledgers: [change(1)] });
            return ok;
          }),
        )),
      );
    assert.equal(results.filter(Boolean).length, 40);
  });

  it("finds a commit by its mark when its answer is lost", async () => {
    const [one] = servers;
    let writing = true;
    const killer = (async () => {
      while (writing) {
        await sql(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'capstan-committer'",
        );
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
    })();
    const before = flights(one, "one");
    const results = await Promise.all(
      Array.from({ length: 30 }, async (_, i) => {
        const at = key(`marked-${i}`);
        let object = await put(one.cache, create(at));
        for (let n = 0; n < 60; n++) object = await put(one.cache, update(at, object, `${n}`));
        return object;
      }),
    ).finally(async () => {
      writing = false;
      await killer;
    });
    for (const object of results) assert.equal((await one.store.get(object.key))?.revision, object.revision);
    assert.ok(flights(one, "one") > before, "some were committed in one flight");
  });
});
