import assert from "node:assert/strict";
import { createPublicKey, type KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parseManifest } from "../plugin/manifest.ts";
import { readArchive, writeArchive } from "./archive.ts";
import { componentOf, pack, unpack } from "./artifact.ts";
import { digestOf } from "./digest.ts";
import { parseReference } from "./reference.ts";
import { Registry } from "./registry.ts";
import { generateKeys, publicKeyOf, signDigest, trustedBy } from "./signature.ts";
import { ArtifactStore } from "./store.ts";
import { pullArtifact, pushArtifact } from "./transfer.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-distribution-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const manifest = parseManifest({ name: "p", version: "1.2.3", witVersion: "v1", worlds: ["filter"] });
const component = new Uint8Array([0, 97, 115, 109, 13, 0, 1, 0]);
const packed = pack(manifest, component);
const keys = generateKeys();
const signed = signDigest(packed.descriptor.digest, "registry.example/p", keys.privateKey);
const trust = (...pems: string[]): Map<string, KeyObject> => new Map(pems.map((pem, i) => [`k${i}`, publicKeyOf(pem)]));

test("the same plugin is the same artifact, and another manifest is another", () => {
  assert.equal(pack(parseManifest({ ...manifest }), component).descriptor.digest, packed.descriptor.digest);
  assert.notEqual(pack({ ...manifest, order: 1 }, component).descriptor.digest, packed.descriptor.digest);
  const { plugin, component: layer } = unpack(packed.manifest);
  assert.deepEqual(plugin, manifest);
  assert.equal(layer.digest, digestOf(component));
});

test("a signature holds for its digest and its key, and for nothing else", () => {
  const { digest } = packed.descriptor;
  assert.equal(trustedBy(digest, [signed], trust(generateKeys().publicKey, keys.publicKey)), "k1");
  assert.equal(trustedBy(digest, [signed], trust(generateKeys().publicKey)), undefined);
  assert.equal(trustedBy(digestOf("other"), [signed], trust(keys.publicKey)), undefined);
  const forged = {
    ...signed,
    payload: Buffer.from(Buffer.from(signed.payload).toString().replace("example", "exbmple")),
  };
  assert.equal(trustedBy(digest, [forged], trust(keys.publicKey)), undefined);
  assert.equal(trustedBy(digest, [], trust(keys.publicKey)), undefined);
});

test("only ed25519 keys are taken", () => {
  const rsa = createPublicKey({ key: RSA, format: "der", type: "spki" }).export({ format: "pem", type: "spki" });
  assert.throws(() => publicKeyOf(rsa.toString()), /rsa, not ed25519/);
});
const RSA = Buffer.from(
  "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==",
  "base64",
);

test("a file carries an artifact with its signatures, the same file for the same contents, and a changed one is refused", async () => {
  const path = join(scratch, "p.tar");
  await writeArchive(path, { packed, signatures: [signed] }, "p:1.2.3");
  const bytes = readFileSync(path);
  const read = await readArchive(path);
  assert.equal(read.packed.descriptor.digest, packed.descriptor.digest);
  assert.deepEqual(Buffer.from(componentOf(read.packed)), Buffer.from(component));
  assert.equal(trustedBy(packed.descriptor.digest, read.signatures, trust(keys.publicKey)), "k0");
  await writeArchive(path, { packed, signatures: [signed] }, "p:1.2.3");
  assert.deepEqual(readFileSync(path), bytes);
  const changed = Buffer.from(bytes);
  const at = changed.indexOf(Buffer.from(component));
  changed[at + 4] = 14;
  writeFileSync(path, changed);
  await assert.rejects(readArchive(path), /has the digest/);
});

test("what was changed on disk is not there any more", () => {
  const store = new ArtifactStore(join(scratch, "store"));
  store.import(packed, [signed]);
  assert.deepEqual(store.signatures(packed.descriptor.digest).length, 1);
  const path = join(scratch, "store/blobs", digestOf(component).replace(":", "/"));
  assert.ok(store.read(digestOf(component)));
  writeFileSync(path, "else");
  assert.equal(store.read(digestOf(component)), undefined);
});

test("references name a registry", () => {
  assert.deepEqual(parseReference("127.0.0.1:5000/team/p:1.0"), {
    host: "127.0.0.1:5000",
    repository: "team/p",
    tag: "1.0",
    digest: "",
  });
  assert.equal(parseReference(`ghcr.io/a/b@${digestOf("")}`).digest, digestOf(""));
  for (const wrong of ["p", "team/p", "host.example/", "host.example/P", "host.example/p@sha256:1"])
    assert.throws(() => parseReference(wrong), wrong);
});

/** A registry in memory, as far as the client uses one; `lie` answers something else for a blob. */
async function fakeRegistry(
  lie: (path: string) => Buffer | undefined = () => undefined,
): Promise<{ server: Server; host: string }> {
  const contents = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const url = new URL(request.url ?? "", "http://registry");
      const end = (status: number, body?: Buffer, location?: string) =>
        response.writeHead(status, location ? { location } : {}).end(body);
      if (request.headers.authorization !== `Basic ${Buffer.from("u:p").toString("base64")}`)
        return response.writeHead(401, { "www-authenticate": 'Basic realm="test"' }).end();
      if (request.method === "POST") return end(202, undefined, `/v2/p/blobs/uploads/1?state=a`);
      if (request.method === "PUT") {
        const body = Buffer.concat(chunks);
        const digest = url.searchParams.get("digest");
        contents.set(digest ? `/v2/p/blobs/${digest}` : url.pathname, body);
        if (!digest) contents.set(`/v2/p/manifests/${digestOf(body)}`, body);
        return end(201);
      }
      const found = lie(url.pathname) ?? contents.get(url.pathname);
      return found ? end(200, found) : end(404);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => server.close());
  return { server, host: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const credentials = { username: "u", password: "p" };

test("an artifact is pushed and pulled with its signatures, and a second signature joins the first", async () => {
  const { host } = await fakeRegistry();
  const registry = new Registry({ host, repository: "p" }, { credentials });
  await pushArtifact(registry, { packed, signatures: [signed] }, "1.2.3");
  const others = generateKeys();
  await pushArtifact(
    registry,
    { packed, signatures: [signDigest(packed.descriptor.digest, "", others.privateKey)] },
    "1.2.3",
  );
  const pulled = await pullArtifact(registry, "1.2.3");
  assert.equal(pulled.packed.descriptor.digest, packed.descriptor.digest);
  assert.equal(pulled.signatures.length, 2);
  for (const key of [keys, others])
    assert.ok(trustedBy(packed.descriptor.digest, pulled.signatures, trust(key.publicKey)));
  await assert.rejects(new Registry({ host, repository: "p" }).manifest("1.2.3"), /answered 401/);
  await assert.rejects(pullArtifact(registry, "2.0.0"), /has no 2.0.0/);
});

test("a registry that answers other bytes is not believed", async () => {
  const { host } = await fakeRegistry((path) => (path.endsWith(digestOf(component)) ? Buffer.from("else") : undefined));
  const registry = new Registry({ host, repository: "p" }, { credentials });
  await pushArtifact(registry, { packed, signatures: [] }, "1");
  await assert.rejects(pullArtifact(registry, "1"), /has the digest/);
  await assert.rejects(registry.blob(packed.blobs[0]?.descriptor.digest ?? "", 3), /larger than 3 bytes/);
});

test("with a guarded lookup a registry is named, and is not this machine", () => {
  const lookup = () => undefined;
  for (const host of ["127.0.0.1:5000", "localhost:5000", "10.0.0.1", "[::1]:5000"])
    assert.throws(() => new Registry({ host, repository: "p" }, { lookup }), /must be named/, host);
});
