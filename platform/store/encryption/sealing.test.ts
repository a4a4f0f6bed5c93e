import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Key, NewDocument, StoredObject } from "../port.ts";
import { documentOf, key } from "../testing.ts";
import type { ProviderSpec } from "./configuration.ts";
import { Sealing } from "./sealing.ts";
import { kmsPlugin } from "./testing.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-kms-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const secretKey = (name: string): Key => key(name, { resource: "secrets" });
const aes = (name: string, fill: number, kind: "aesgcm" | "aescbc" | "secretbox" = "aesgcm"): ProviderSpec => ({
  kind,
  keys: [{ name, secret: Buffer.alloc(32, fill) }],
});
const sealing = (...providers: ProviderSpec[]) => new Sealing([{ resources: ["secrets"], providers }], silentLog);
const stored = (at: Key, { uid, document, labels, fields }: NewDocument): StoredObject => ({
  key: at,
  uid,
  revision: 1,
  document,
  labels,
  fields,
});

for (const kind of ["aesgcm", "aescbc", "secretbox"] as const) {
  test(`${kind}: what is sealed shows nothing and opens to what it was`, async () => {
    const s = sealing(aes("k1", 1, kind));
    const at = secretKey("a");
    const plain = documentOf(at, "hunter2", { labels: { owner: "hunter2" } });
    const sealed = await s.seal(at, plain);
    assert.ok(sealed.document.startsWith(`k8s:enc:${kind}:v1:k1:`));
    assert.ok(!JSON.stringify(sealed).includes("hunter2"));
    const opened = s.open(stored(at, sealed));
    assert.equal(opened.document, plain.document);
    assert.deepEqual(opened.labels, plain.labels);
    assert.deepEqual(opened.fields, plain.fields);
    // CBC has no authentication: another key may open to nonsense.
    if (kind !== "aescbc")
      assert.throws(() => sealing(aes("k1", 2, kind)).open(stored(at, sealed)), /cannot be decrypted/);
  });
}

test("a text that was copied to another row does not open there", async () => {
  const s = sealing(aes("k1", 1));
  const sealed = await s.seal(secretKey("a"), documentOf(secretKey("a"), "x"));
  for (const other of [secretKey("b"), { ...secretKey("a"), tenant: 2 }, { ...secretKey("a"), namespace: "other" }])
    assert.throws(() => s.open(stored(other, sealed)), /cannot be decrypted/);
});

test("the first provider writes, all read, and what an older one wrote is stale", async () => {
  const at = secretKey("a");
  const s = sealing(aes("old", 1), { kind: "identity" });
  const before = stored(at, await s.seal(at, documentOf(at, "x")));
  assert.equal(s.isStale(s.open(before)), false);
  s.replace([{ resources: ["secrets"], providers: [aes("new", 2), aes("old", 1), { kind: "identity" }] }]);
  assert.equal(s.isStale(s.open(before)), true);
  const anew = stored(at, await s.seal(at, documentOf(at, "x")));
  assert.ok(anew.document.startsWith("k8s:enc:aesgcm:v1:new:"));
  assert.equal(s.isStale(s.open(anew)), false);
  s.replace([{ resources: ["secrets"], providers: [aes("new", 2)] }]);
  assert.throws(() => s.open(before), /no key of the configuration is k8s:enc:aesgcm:v1:old/);
  const plain = stored(at, documentOf(at, "x"));
  assert.equal(s.open(plain), plain);
  assert.equal(s.isStale(plain), true);
});

test("what no rule names is left as it is", async () => {
  const s = sealing(aes("k1", 1));
  const plain = documentOf(key("a"), "x");
  assert.equal(await s.seal(key("a"), plain), plain);
  assert.equal(s.isStale(stored(key("a"), plain)), false);
});

const TIMING = { healthyMs: 10, unhealthyMs: 10, seedMs: 60_000 };
const SLOW = { healthyMs: 60_000, unhealthyMs: 60_000, seedMs: 60_000 };

test("kms: one seed seals many objects; another server opens them by asking the plugin once", async () => {
  const plugin = await kmsPlugin(join(scratch, "a.sock"));
  const spec: ProviderSpec = { kind: "kms", name: "k", socket: plugin.socket, timeoutMs: 2_000 };
  const rules = [{ resources: ["secrets"], providers: [spec] }];
  const [one, two] = [new Sealing(rules, silentLog, SLOW), new Sealing(rules, silentLog, SLOW)];
  try {
    const sealed: StoredObject[] = [];
    for (const name of ["a", "b", "c"]) {
      const at = secretKey(name);
      sealed.push(stored(at, await one.seal(at, documentOf(at, `value-${name}`))));
    }
    assert.equal(plugin.calls.filter((c) => c === "encrypt").length <= 2, true);
    assert.ok(sealed.every(({ document }) => document.startsWith("k8s:enc:kms:v2:k:") && !document.includes("value-")));
    for (const object of sealed) {
      await two.ready(object);
      assert.ok(two.open(object).document.includes(`value-${object.key.name}`));
      assert.equal(two.isStale(two.open(object)), false);
    }
    assert.equal(plugin.calls.filter((c) => c === "decrypt").length, 1);
  } finally {
    one.close();
    two.close();
    await plugin.close();
  }
});

test("kms: another key id means another seed; what the old one sealed is stale and opens", async () => {
  const plugin = await kmsPlugin(join(scratch, "b.sock"));
  const spec: ProviderSpec = { kind: "kms", name: "k", socket: plugin.socket, timeoutMs: 2_000 };
  const s = new Sealing([{ resources: ["secrets"], providers: [spec] }], silentLog, TIMING);
  try {
    const at = secretKey("a");
    const before = stored(at, await s.seal(at, documentOf(at, "x")));
    plugin.rotate("key-2");
    while (!s.isStale({ ...before, sealedBy: "k8s:enc:kms:v2:k:key-1" })) await plugin.nextCall();
    const opened = s.open(before);
    assert.equal(s.isStale(opened), true);
    assert.equal(s.isStale(s.open(stored(at, await s.seal(at, documentOf(at, "y"))))), false);
  } finally {
    s.close();
    await plugin.close();
  }
});

test("kms: without its plugin nothing is written, with the reason", async () => {
  const spec: ProviderSpec = { kind: "kms", name: "k", socket: join(scratch, "none.sock"), timeoutMs: 200 };
  const s = new Sealing([{ resources: ["secrets"], providers: [spec] }], silentLog, SLOW);
  const at = secretKey("a");
  await assert.rejects(s.seal(at, documentOf(at, "x")), /cannot be encrypted: KMS provider k/);
  assert.match(s.trouble() ?? "", /KMS provider k/);
  s.close();
});
