/**
 * Artifacts on this machine, by digest: what a host has pulled, and what was imported from a file. DIRECTORY/blobs/sha256/HEX and
 * DIRECTORY/tags/NAME, which holds a digest. What is read is checked again.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { signaturesOf } from "./archive.ts";
import { componentOf, type Packed, unpack } from "./artifact.ts";
import { DIGEST, verified } from "./digest.ts";
import { packSignatures, type Signed, signatureTag } from "./signature.ts";

export class ArtifactStore {
  readonly #directory: string;
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Undefined: it is not here, or was changed. */
  read(digest: string): Uint8Array | undefined {
    if (!DIGEST.test(digest)) return undefined;
    try {
      return verified(readFileSync(this.#blob(digest)), digest, digest);
    } catch {
      return undefined;
    }
  }

  write(digest: string, bytes: Uint8Array): void {
    writeWhole(this.#blob(digest), verified(bytes, digest, digest));
  }

  /** The signatures that are here of an artifact. */
  signatures(manifestDigest: string): Signed[] {
    try {
      const digest = readFileSync(join(this.#directory, "tags", signatureTag(manifestDigest)), "utf8");
      const manifest = this.read(digest);
      return manifest ? signaturesOf(manifest, (payload) => this.read(payload) ?? new Uint8Array()) : [];
    } catch {
      return [];
    }
  }

  writeSignatures(manifestDigest: string, signatures: readonly Signed[]): void {
    const packed = packSignatures(signatures);
    for (const { descriptor, bytes } of packed.blobs) this.write(descriptor.digest, bytes);
    this.write(packed.descriptor.digest, packed.manifest);
    writeWhole(join(this.#directory, "tags", signatureTag(manifestDigest)), packed.descriptor.digest);
  }

  /** An artifact with its signatures; the component is checked. */
  import(packed: Packed, signatures: readonly Signed[]): void {
    this.write(unpack(packed.manifest).component.digest, componentOf(packed));
    this.write(packed.descriptor.digest, packed.manifest);
    this.writeSignatures(packed.descriptor.digest, signatures);
  }

  #blob(digest: string): string {
    return join(this.#directory, "blobs", digest.replace(":", "/"));
  }
}

function writeWhole(path: string, data: Uint8Array | string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  const beside = `${path}.${process.pid}.${performance.now()}.tmp`;
  writeFileSync(beside, data);
  renameSync(beside, path);
}
