/**
 * An artifact with its signatures as one file, for machines without a registry: an OCI image layout in a tar archive (image-spec,
 * image-layout.md), which other tools of registries read too.
 */
import { createReadStream, createWriteStream, renameSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { extract, pack as packTar } from "tar-stream";
import { z } from "zod";
import { type Blob, COMPONENT_BYTES_MAX, decode, encode, imageManifestSchema, type Packed } from "./artifact.ts";
import { DIGEST, verified } from "./digest.ts";
import { packSignatures, SIGNATURE_ANNOTATION, type Signed, signatureLayers, signatureTag } from "./signature.ts";

const REF_NAME = "org.opencontainers.image.ref.name";
const FILES_MAX = 200;
const LAYOUT = { imageLayoutVersion: "1.0.0" };

export interface Archived {
  packed: Packed;
  signatures: Signed[];
}

/** Whole: written beside and renamed. */
export async function writeArchive(path: string, { packed, signatures }: Archived, name: string): Promise<void> {
  const images = [
    { packed, ref: name },
    ...(signatures.length > 0
      ? [{ packed: packSignatures(signatures), ref: signatureTag(packed.descriptor.digest) }]
      : []),
  ];
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: images.map(({ packed: { descriptor }, ref }) => ({ ...descriptor, annotations: { [REF_NAME]: ref } })),
  };
  const tar = packTar();
  const beside = `${path}.${process.pid}.tmp`;
  const written = pipeline(tar, createWriteStream(beside));
  // No times and owners: the same contents are the same file.
  const add = (entry: string, bytes: Uint8Array) =>
    tar.entry({ name: entry, mtime: new Date(0), mode: 0o644, uid: 0, gid: 0 }, Buffer.from(bytes));
  add("oci-layout", encode(LAYOUT));
  add("index.json", encode(index));
  const blobs = images.flatMap(({ packed: p }) => [{ descriptor: p.descriptor, bytes: p.manifest }, ...p.blobs]);
  for (const [digest, bytes] of new Map(blobs.map((b) => [b.descriptor.digest, b.bytes]))) {
    add(`blobs/${digest.replace(":", "/")}`, bytes);
  }
  tar.finalize();
  await written;
  renameSync(beside, path);
}

const indexSchema = z.object({
  manifests: z
    .array(z.object({ digest: z.string().regex(DIGEST), annotations: z.record(z.string(), z.string()).optional() }))
    .min(1)
    .max(20),
});

/** Everything is checked against its digest. Throws saying what is wrong with the file. */
export async function readArchive(path: string): Promise<Archived> {
  const files = await readTar(path);
  const blob = (digest: string): Uint8Array => {
    const bytes = files.get(`blobs/${digest.replace(":", "/")}`);
    if (!bytes) throw new Error(`${path} lacks ${digest}`);
    return verified(bytes, digest, `${digest} in ${path}`);
  };
  const index = files.get("index.json");
  if (!index) throw new Error(`${path} is no OCI image layout: it has no index.json`);
  const { manifests } = indexSchema.parse(decode(index));
  const main = manifests.find(({ annotations }) => !annotations?.[REF_NAME]?.endsWith(".sig"));
  if (!main) throw new Error(`${path} has no artifact`);
  const tag = signatureTag(main.digest);
  const signed = manifests.find(({ annotations }) => annotations?.[REF_NAME] === tag);
  return { packed: packedOf(main.digest, blob), signatures: signed ? signaturesOf(blob(signed.digest), blob) : [] };
}

function packedOf(digest: string, blob: (digest: string) => Uint8Array): Packed {
  const manifest = blob(digest);
  const { mediaType = "", config, layers } = imageManifestSchema.parse(decode(manifest));
  const blobs: Blob[] = [config, ...layers].map((descriptor) => ({ descriptor, bytes: blob(descriptor.digest) }));
  return { descriptor: { mediaType, digest, size: manifest.length }, manifest, blobs };
}

/** What an image of signatures carries; `blob` fetches a payload. */
export const signaturesOf = (manifest: Uint8Array, blob: (digest: string) => Uint8Array): Signed[] =>
  signatureLayers(manifest).map(({ digest, annotations }) => ({
    payload: blob(digest),
    signature: annotations?.[SIGNATURE_ANNOTATION] ?? "",
  }));

async function readTar(path: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const reader = extract();
  reader.on("entry", (header, stream, next) => {
    const chunks: Buffer[] = [];
    if (files.size >= FILES_MAX || (header.size ?? 0) > COMPONENT_BYTES_MAX)
      return void reader.destroy(new Error(`${path} has more or larger files than a plugin`));
    stream.on("data", (chunk) => chunks.push(chunk as Buffer));
    stream.on("end", () => {
      if (header.type === "file") files.set(header.name.replace(/^\.\//, ""), new Uint8Array(Buffer.concat(chunks)));
      next();
    });
  });
  await pipeline(createReadStream(path), reader);
  return files;
}
