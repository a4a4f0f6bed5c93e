/**
 * What an image of a component may look like: an artifact whose layer is the component (CNCF wasm artifact: config
 * application/vnd.wasm.config.v0+json, layer application/wasm), or an OCI image whose layers are file systems with one .wasm file in them, or
 * with the one that the entrypoint names.
 */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";
import { z } from "zod";
import { decode, imageManifestSchema, OCI_MANIFEST } from "#sdk/distribution/artifact.ts";
import { DIGEST } from "#sdk/distribution/digest.ts";

export const COMPONENT_BYTES_MAX: number = 256 * 1024 * 1024;
const FILES_MAX = 10_000;
const WASM_MAGIC = Buffer.from([0, 0x61, 0x73, 0x6d]);
const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json";
export const MANIFEST_TYPES: string = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");

/** Layers that are the module or component itself, as several tools call them. */
const WASM_LAYER =
  /^application\/(wasm|vnd\.(wasm\.content|module\.wasm\.content|bytecodealliance\.wasm\.component)\..*)$/;
const TAR_LAYER = /^application\/vnd\.(oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)(\+?\.?gzip)?$/;

const indexSchema = z.object({
  manifests: z
    .array(
      z.object({
        mediaType: z.string().optional(),
        digest: z.string().regex(DIGEST),
        platform: z.object({ architecture: z.string(), os: z.string() }).partial().optional(),
      }),
    )
    .max(200),
});
const configSchema = z.object({
  config: z
    .object({
      Entrypoint: z.array(z.string()).nullish(),
      Cmd: z.array(z.string()).nullish(),
      Env: z.array(z.string()).nullish(),
    })
    .nullish(),
});

/** Fetches by digest, checked. */
export type Blob = (digest: string, bytesMax: number) => Promise<Uint8Array>;

export interface ImageContents {
  /** A component, or a core module of WASI preview 1. */
  component: Uint8Array;
  entrypoint: string[];
  cmd: string[];
  /** "NAME=value" */
  env: string[];
}

/** Throws saying what the image is instead. */
export async function contentsOf(manifest: Uint8Array, blob: Blob, manifestBy: Blob): Promise<ImageContents> {
  const index = indexSchema.safeParse(decode(manifest));
  if (index.success) {
    const fit = index.data.manifests.find(({ platform }) => platform?.architecture === "wasm");
    const only = index.data.manifests.length === 1 ? index.data.manifests[0] : undefined;
    const chosen = fit ?? only;
    if (!chosen)
      throw new Error("it is for machines, not for WebAssembly: no manifest of it has the architecture wasm");
    return await contentsOf(await manifestBy(chosen.digest, COMPONENT_BYTES_MAX), blob, manifestBy);
  }
  const { config, layers } = imageManifestSchema.parse(decode(manifest));
  const direct = layers.filter(({ mediaType }) => WASM_LAYER.test(mediaType));
  if (direct.length > 1) throw new Error(`it has ${direct.length} components`);
  const [layer] = direct;
  if (layer)
    return { component: checked(await blob(layer.digest, COMPONENT_BYTES_MAX)), entrypoint: [], cmd: [], env: [] };
  const parsed = configSchema.parse(decode(await blob(config.digest, COMPONENT_BYTES_MAX))).config ?? {};
  const entrypoint = parsed.Entrypoint ?? [];
  const found = new Map<string, Buffer>();
  for (const { mediaType, digest } of layers)
    if (TAR_LAYER.test(mediaType)) await readWasmFiles(await blob(digest, COMPONENT_BYTES_MAX), mediaType, found);
  const named = plain((entrypoint.length > 0 ? entrypoint : (parsed.Cmd ?? []))[0] ?? "");
  const component = found.get(named) ?? (found.size === 1 ? [...found.values()][0] : undefined);
  if (!component)
    throw new Error(
      found.size === 0
        ? "it holds no WebAssembly component: only images of components run on RuntimeClass wasm"
        : `its entrypoint ${JSON.stringify(named)} names none of ${[...found.keys()].join(", ")}`,
    );
  return { component: checked(component), entrypoint, cmd: parsed.Cmd ?? [], env: parsed.Env ?? [] };
}

const plain = (path: string): string => path.replace(/^(\.?\/)+/, "");

function checked(bytes: Uint8Array): Uint8Array {
  if (!WASM_MAGIC.equals(bytes.subarray(0, WASM_MAGIC.length)))
    throw new Error("its layer is called WebAssembly and is something else");
  return bytes;
}

/** Later layers win. */
async function readWasmFiles(layer: Uint8Array, mediaType: string, found: Map<string, Buffer>): Promise<void> {
  const reader = extract();
  let files = 0;
  let total = 0;
  reader.on("entry", (header, stream, next) => {
    const wanted = header.type === "file" && header.name.endsWith(".wasm");
    const chunks: Buffer[] = [];
    if (++files > FILES_MAX) return void reader.destroy(new Error(`it has more than ${FILES_MAX} files`));
    stream.on("data", (chunk) => {
      if (!wanted) return;
      total += (chunk as Buffer).length;
      if (total > COMPONENT_BYTES_MAX) reader.destroy(new Error(`it has more than ${COMPONENT_BYTES_MAX} bytes`));
      chunks.push(chunk as Buffer);
    });
    stream.on("end", () => {
      if (wanted) found.set(plain(header.name), Buffer.concat(chunks));
      next();
    });
  });
  const source = Readable.from([Buffer.from(layer)]);
  await (mediaType.endsWith("gzip") ? pipeline(source, createGunzip(), reader) : pipeline(source, reader));
}
