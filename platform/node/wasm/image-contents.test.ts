import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { pack as packTar } from "tar-stream";
import { encode, OCI_MANIFEST } from "#sdk/distribution/artifact.ts";
import { describe, digestOf } from "#sdk/distribution/digest.ts";
import { contentsOf } from "./image-contents.ts";

const WASM = new Uint8Array([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0]);
const OTHER = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);

async function tarOf(files: Record<string, Uint8Array>): Promise<Buffer> {
  const tar = packTar();
  for (const [name, bytes] of Object.entries(files)) tar.entry({ name }, Buffer.from(bytes));
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function store() {
  const blobs = new Map<string, Uint8Array>();
  const put = (mediaType: string, bytes: Uint8Array) => {
    blobs.set(digestOf(bytes), bytes);
    return describe(mediaType, bytes);
  };
  const blob = async (digest: string) => blobs.get(digest) ?? new Uint8Array();
  return {
    put,
    manifest: (config: unknown, layers: [type: string, bytes: Uint8Array][]) =>
      encode({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: put("application/vnd.oci.image.config.v1+json", encode(config)),
        layers: layers.map(([type, bytes]) => put(type, bytes)),
      }),
    read: (manifest: Uint8Array) => contentsOf(manifest, blob, blob),
  };
}
const TAR = "application/vnd.oci.image.layer.v1.tar";

test("an artifact is its one layer", async () => {
  const { manifest, read } = store();
  const { component, entrypoint } = await read(manifest({}, [["application/wasm", WASM]]));
  assert.deepEqual([[...component], entrypoint], [[...WASM], []]);
});

test("an image is the file that its entrypoint names, of the last layer that has it, or its only component", async () => {
  const { manifest, read } = store();
  const config = { config: { Entrypoint: ["/app/main.wasm", "--quiet"], Cmd: ["serve"], Env: ["A=b"] } };
  const found = await read(
    manifest(config, [
      [TAR, await tarOf({ "app/main.wasm": OTHER, "app/second.wasm": OTHER })],
      [`${TAR}+gzip`, gzipSync(await tarOf({ "./app/main.wasm": WASM }))],
    ]),
  );
  assert.deepEqual([...found.component], [...WASM]);
  assert.deepEqual([found.entrypoint, found.cmd, found.env], [["/app/main.wasm", "--quiet"], ["serve"], ["A=b"]]);
  const only = await read(manifest({ config: {} }, [[TAR, await tarOf({ "x/y.wasm": WASM, "x/z.txt": OTHER })]]));
  assert.deepEqual([...only.component], [...WASM]);
});

test("of an image for several machines it is the one for WebAssembly", async () => {
  const { put, manifest, read } = store();
  const index = (...architectures: string[]) =>
    encode({
      schemaVersion: 2,
      manifests: architectures.map((architecture) => ({
        ...put(
          OCI_MANIFEST,
          manifest({ architecture }, [["application/wasm", architecture === "wasm" ? WASM : OTHER]]),
        ),
        platform: { architecture, os: "linux" },
      })),
    });
  assert.deepEqual([...(await read(index("amd64", "wasm"))).component], [...WASM]);
  await assert.rejects(read(index("amd64", "arm64")), /no manifest of it has the architecture wasm/);
});

test("what is no component is refused with the reason", async () => {
  const { manifest, read } = store();
  const shell = await tarOf({ "bin/sh": new Uint8Array([0x7f, 0x45]) });
  await assert.rejects(read(manifest({ config: { Entrypoint: ["/bin/sh"] } }, [[TAR, shell]])), /holds no WebAssembly/);
  await assert.rejects(read(manifest({}, [["application/wasm", shell]])), /called WebAssembly and is something else/);
  const two = await tarOf({ "a.wasm": WASM, "b.wasm": WASM });
  await assert.rejects(
    read(manifest({ config: { Entrypoint: ["/c.wasm"] } }, [[TAR, two]])),
    /names none of a.wasm, b.wasm/,
  );
});
