/** Encryption at rest over a real PostgreSQL: what the tables, the log and a backup hold, and that every reader sees the plain object. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import { followedSealing, sealingOf } from "#platform/store/encryption/file.ts";
import type { Key, Operation, StoredObject } from "#platform/store/port.ts";
import { backup } from "#platform/store/postgres/backup.ts";
import { Session } from "#platform/store/postgres/session.ts";
import { verify } from "#platform/store/postgres/verify.ts";
import { collect, put } from "#platform/store/testing.ts";
import { createStore, type OpenStore } from "./store.ts";

const CONSISTENT = { type: "consistent" } as const;
const scope = { tenant: 1, resource: "secrets" };
const PLAIN = "hunter2-the-plain-text";

const secretKey = (name: string): Key => ({ tenant: 1, resource: "secrets", namespace: "default", name });

function secret(name: string, type: "create" | "update", held?: StoredObject): Operation {
  const uid = held?.uid ?? `uid-${name}`;
  const document = JSON.stringify({
    kind: "Secret",
    apiVersion: "v1",
    metadata: { name, namespace: "default", uid },
    data: { password: PLAIN },
  });
  const object = { uid, document, labels: { hint: PLAIN }, fields: { "metadata.name": name }, terminating: false };
  if (type === "create") return { type, key: secretKey(name), object };
  return { type, key: secretKey(name), object, expected: { uid, revision: held?.revision ?? 0 } };
}

const configuration = (...keys: [name: string, fill: number][]) =>
  JSON.stringify({
    kind: "EncryptionConfiguration",
    apiVersion: "apiserver.config.k8s.io/v1",
    resources: [
      {
        resources: ["secrets"],
        providers: [
          ...keys.map(([name, fill]) => ({
            aesgcm: { keys: [{ name, secret: Buffer.alloc(32, fill).toString("base64") }] },
          })),
          { identity: {} },
        ],
      },
    ],
  });

describe("encryption at rest", () => {
  let db: TestDatabase;
  const scratch = mkdtempSync(join(tmpdir(), "capstan-encryption-"));
  const file = join(scratch, "encryption.json");
  const opened: OpenStore[] = [];

  const start = async (encryption?: string): Promise<OpenStore> => {
    const open = createStore({ databaseUrl: db.url, log: silentLog, ...(encryption ? { encryption } : {}) });
    opened.push(open);
    await open.ready;
    return open;
  };
  const raw = async (): Promise<{ name: string; document: string; text: string }[]> => {
    const session = await Session.open(db.url, "test");
    try {
      return await session.query({
        text: `SELECT name, document, o::text AS text FROM object o WHERE resource = 'secrets'
          UNION ALL SELECT name, document, c::text FROM change c WHERE resource = 'secrets' AND document LIKE 'k8s:%'`,
      });
    } finally {
      await session.close();
    }
  };

  before(async () => {
    db = await withTestDatabase();
    writeFileSync(file, configuration(["k1", 1]));
  });
  after(async () => {
    for (const open of opened) await open.close();
    await db.remove();
    rmSync(scratch, { recursive: true, force: true });
  });

  test("the tables and the log hold no plain text, and get, list and watch show the object", async () => {
    const plain = await start();
    await put(plain.store, secret("early", "create"));
    const { store } = await start(file);
    const watched = collect(store, { scope, after: "now" });
    const made = await put(store, secret("a", "create"));
    await watched.until((events) => events.length > 0);
    await watched.stop();
    const [event] = watched.events;
    assert.ok(event?.type === "change" && event.change.object.document.includes(PLAIN));
    assert.equal(event.change.object.labels["hint"], PLAIN);
    assert.equal((await store.get(made.key, CONSISTENT))?.document, made.document);
    const { objects } = await store.list({ scope, freshness: CONSISTENT, matcher: (o) => o.labels["hint"] === PLAIN });
    assert.equal(objects.length, 2);
    const rows = (await raw()).filter(({ name }) => name === "a");
    assert.equal(rows.length, 2);
    assert.ok(
      rows.every(({ text, document }) => !text.includes(PLAIN) && document.startsWith("k8s:enc:aesgcm:v1:k1:")),
    );
    const refused = await store.write({ operations: [secret("a", "create")] });
    assert.ok(!refused.ok && refused.why === "exists" && refused.current?.document === made.document);
  });

  test("what was written before is read and stale, and an update encrypts it; selectors are told what was before", async () => {
    const { store } = opened[1] as OpenStore;
    const before = (await store.get(secretKey("early"), CONSISTENT)) as StoredObject;
    assert.equal(before.sealedBy, undefined);
    assert.equal(store.isStale?.(before), true);
    const watched = collect(store, { scope, after: "now" });
    const changed = await put(store, secret("early", "update", before));
    const again = await put(store, secret("early", "update", changed));
    await watched.until((events) => events.length > 1);
    await watched.stop();
    for (const event of watched.events)
      assert.ok(event.type === "change" && event.change.previous?.labels["hint"] === PLAIN);
    const after = (await store.get(secretKey("early"), CONSISTENT)) as StoredObject;
    assert.equal(after.revision, again.revision);
    assert.equal(store.isStale?.(after), false);
    assert.ok((await raw()).every(({ name, document }) => name !== "early" || document.startsWith("k8s:enc:")));
  });

  test("a server without the keys does not serve", async () => {
    const open = createStore({ databaseUrl: db.url, log: silentLog });
    await assert.rejects(open.check(), /loading/);
    await open.close();
  });

  test("a new first key writes after a reload, both read, and updating every object retires the old one", async () => {
    const text = configuration(["k2", 2], ["k1", 1]);
    const stop = new AbortController();
    const sealing = followedSealing({ path: file, log: silentLog, lookMs: 5 }, stop.signal);
    writeFileSync(file, text);
    const sample = { ...secretKey("a"), name: "x" };
    const sealedBy = async () =>
      (await sealing.seal(sample, { uid: "u", document: "{}", labels: {}, fields: {}, terminating: false })).document;
    while (!(await sealedBy()).startsWith("k8s:enc:aesgcm:v1:k2:")) await new Promise((r) => setImmediate(r));
    stop.abort();
    const { store } = await start(file);
    const old = (await store.get(secretKey("a"), CONSISTENT)) as StoredObject;
    assert.equal(store.isStale?.(old), true);
    for (const object of (await store.list({ scope, freshness: CONSISTENT })).objects)
      await put(store, secret(object.key.name, "update", object));
    writeFileSync(file, configuration(["k2", 2]));
    const { store: later } = await start(file);
    assert.ok((await later.get(secretKey("a"), CONSISTENT))?.document.includes(PLAIN));
  });

  test("the store verifies, and a backup holds no plain text", async () => {
    const sealing = sealingOf(file, silentLog);
    const results = await verify(db.url, async (object) => sealing.open(object));
    assert.deepEqual(
      results.filter(({ violations }) => violations > 0),
      [],
    );
    assert.ok(results.some(({ name }) => name.startsWith("an encrypted document")));
    const to = join(scratch, "backup");
    await backup(db.url, to);
    assert.ok(!gunzipSync(readFileSync(to)).includes(PLAIN));
  });

  test("a row that was put in another's place is found by verify", async () => {
    const { store } = await start(file);
    await put(store, secret("b", "create"));
    const session = await Session.open(db.url, "test");
    await session.query({
      text: "UPDATE object SET document = (SELECT document FROM object WHERE resource = 'secrets' AND name = 'a') WHERE resource = 'secrets' AND name = 'b'",
    });
    await session.close();
    const sealing = sealingOf(file, silentLog);
    const results = await verify(db.url, async (object) => sealing.open(object));
    const found = results.find(({ name }) => name.startsWith("an encrypted document"));
    assert.equal(found?.violations, 1);
    assert.match(found?.examples[0] ?? "", /secrets\/default\/b/);
  });
});
