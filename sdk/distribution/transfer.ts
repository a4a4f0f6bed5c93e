/** Artifacts with their signatures to and from registries. */

import { type Archived, signaturesOf } from "./archive.ts";
import {
  COMPONENT_BYTES_MAX,
  decode,
  imageManifestSchema,
  MANIFEST_BYTES_MAX,
  type Packed,
  unpack,
} from "./artifact.ts";
import { digestOf } from "./digest.ts";
import type { Registry } from "./registry.ts";
import { packSignatures, type Signed, signatureLayers, signatureTag } from "./signature.ts";

/** The artifact under `tag` (or its digest alone), then its signatures beside those that are there. */
export async function pushArtifact(registry: Registry, { packed, signatures }: Archived, tag: string): Promise<void> {
  await registry.push(packed, tag);
  if (signatures.length > 0) await pushSignatures(registry, packed.descriptor.digest, signatures);
}

export async function pushSignatures(registry: Registry, digest: string, signatures: readonly Signed[]): Promise<void> {
  const present = await pullSignatures(registry, digest);
  const added = signatures.filter((s) => !present.some(({ signature }) => signature === s.signature));
  if (added.length > 0) await registry.push(packSignatures([...present, ...added]), signatureTag(digest));
}

/** None where there are none. */
export async function pullSignatures(registry: Registry, digest: string): Promise<Signed[]> {
  const manifest = await registry.manifest(signatureTag(digest));
  if (!manifest) return [];
  const payloads = new Map<string, Uint8Array>();
  for (const layer of signatureLayers(manifest))
    payloads.set(layer.digest, await registry.blob(layer.digest, MANIFEST_BYTES_MAX));
  return signaturesOf(manifest, (payload) => payloads.get(payload) ?? new Uint8Array());
}

/** By tag or digest; everything is checked. Throws where there is none, or it is no plugin. */
export async function pullArtifact(registry: Registry, tagOrDigest: string): Promise<Archived> {
  const manifest = await registry.manifest(tagOrDigest);
  if (!manifest) throw new Error(`the registry has no ${tagOrDigest}`);
  unpack(manifest);
  const { mediaType = "", config, layers } = imageManifestSchema.parse(decode(manifest));
  const blobs: Packed["blobs"] = [];
  for (const descriptor of [config, ...layers])
    blobs.push({ descriptor, bytes: await registry.blob(descriptor.digest, COMPONENT_BYTES_MAX) });
  const digest = digestOf(manifest);
  const packed = { descriptor: { mediaType, digest, size: manifest.length }, manifest, blobs };
  return { packed, signatures: await pullSignatures(registry, digest) };
}
