import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { encode, OCI_MANIFEST } from "#sdk/distribution/artifact.ts";
import { describe, digestOf } from "#sdk/distribution/digest.ts";
import { openImages } from "./images.ts";

const WASM = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
const bare = { component: WASM, entrypoint: [], cmd: [], env: [] };

/** A registry with one artifact, `demo:1`, for who has the password. */
async function registry() {
  const config = encode({ architecture: "wasm", os: "wasip2" });
  const manifest = encode({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: describe("application/vnd.wasm.config.v0+json", config),
    layers: [describe("application/wasm", WASM)],
  });
  const served = new Map([
    ["/v2/demo/manifests/1", manifest],
    ...[config, WASM].map((blob) => [`/v2/demo/blobs/${digestOf(blob)}`, blob] as const),
  ]);
  const server = createServer((request, response) => {
    const found = served.get(request.url ?? "");
    if (request.headers.authorization !== `Basic ${Buffer.from("ann:right").toString("base64")}`)
      response.writeHead(401, { "www-authenticate": "Basic" }).end();
    else response.writeHead(found ? 200 : 404).end(found && Buffer.from(found));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    digest: digestOf(manifest),
    close: () => server.close(),
  };
}

test("an artifact comes from its registry, with the pod's credentials, and is known by name, digest and both", async () => {
  const directory = mkdtempSync(join(tmpdir(), "capstan-wasm-images-"));
  const { host, digest, close } = await registry();
  try {
    const images = openImages(directory);
    await assert.rejects(images.pull(`${host}/demo:1`, { username: "ann", password: "wrong" }), /answered 401/);
    const auth = Buffer.from("ann:right").toString("base64");
    assert.equal(await images.pull(`${host}/demo:1`, { auth }), digest);
    await assert.rejects(images.pull(`${host}/demo:2`, { auth }), /not found/);
    const again = openImages(directory);
    for (const name of [`${host}/demo:1`, digest, `${host}/demo@${digest}`]) assert.equal(again.find(name)?.id, digest);
    const image = again.find(digest);
    assert.ok(image);
    assert.ok("module" in (await again.prepare(image)), "a core module needs no preparation");
  } finally {
    close();
    rmSync(directory, { recursive: true, force: true });
  }
});

test("a name moves to the image that was given it last, and a removed image takes its component along", () => {
  const directory = mkdtempSync(join(tmpdir(), "capstan-wasm-images-"));
  try {
    const images = openImages(directory);
    const first = images.add("docker.io/library/a:1", bare);
    const second = images.add("docker.io/library/a:1", { ...bare, component: new Uint8Array([...WASM, 0, 1, 0]) });
    assert.deepEqual([images.find("docker.io/library/a:1")?.id, images.find(first.id)?.names], [second.id, []]);
    images.remove(second.id);
    assert.deepEqual(
      images.list().map(({ id }) => id),
      [first.id],
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
