import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pack } from "#sdk/distribution/artifact.ts";
import { digestOf } from "#sdk/distribution/digest.ts";
import { generateKeys, signDigest } from "#sdk/distribution/signature.ts";
import { ArtifactStore } from "#sdk/distribution/store.ts";
import { trustKey } from "#sdk/distribution/trust.ts";
import { parseManifest } from "#sdk/plugin/manifest.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { artifactsDir, createSource } from "./source.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-source-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const component = Buffer.from("not a component: nothing here may parse it");
const packed = pack(parseManifest({ name: "p", version: "1.0.0", witVersion: "v1", worlds: ["filter"] }), component);
const manifest = packed.descriptor.digest;
const spec = { digest: digestOf(component), source: { manifest } };
const keys = generateKeys();

const { client } = createFakeApi();
const source = createSource(scratch, client);
const store = new ArtifactStore(artifactsDir(scratch));

test("an imported artifact runs when one of its owner's keys has signed it, and not for another tenant", async () => {
  store.import(packed, []);
  await assert.rejects(source("root", spec, false), /it is not signed \(trusted: none\)/);
  store.writeSignatures(manifest, [signDigest(manifest, "", keys.privateKey)]);
  await assert.rejects(source("root", spec, false), /none of its signatures is by a trusted key \(trusted: none\)/);
  await trustKey(client.tenant("root"), "other", generateKeys().publicKey);
  await assert.rejects(source("root", spec, false), /none of its signatures is by a trusted key \(trusted: other\)/);
  await trustKey(client.tenant("root"), "author", keys.publicKey);
  assert.deepEqual(Buffer.from((await source("root", spec, false)) ?? []), component);
  await assert.rejects(source("team", spec, false), /trusted: none/);
  await trustKey(client.tenant("team"), "author", keys.publicKey);
  assert.equal(await source("team", spec, true), undefined);
});

test("what is compiled already is still checked, and a component that is not the artifact's is refused", async () => {
  await assert.rejects(source("elsewhere", spec, true), /trusted: none/);
  await assert.rejects(source("root", { ...spec, digest: digestOf("else") }, false), /the artifact's component is/);
});

test("without a source the operator's file is read, and what tenants pulled is not among those", async () => {
  await assert.rejects(source("root", { digest: spec.digest }, false), /cannot be read/);
  writeFileSync(join(scratch, `${spec.digest.replace(":", "-")}.wasm`), component);
  assert.ok(await source("root", { digest: spec.digest }, false));
});

test("a tenant's plugin cannot send the platform to itself", async () => {
  const named = { ...spec, source: { manifest, repository: "127.0.0.1:5000/p" } };
  await assert.rejects(source("team", named, false), /must be named, and not be this machine/);
});
