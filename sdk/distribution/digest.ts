/** Contents by their digests (OCI image spec, descriptors). Only sha256. */
import { createHash } from "node:crypto";

export const DIGEST = /^sha256:[0-9a-f]{64}$/;

export const digestOf = (bytes: Uint8Array | string): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Throws where the bytes are not what the digest names. */
export function verified(bytes: Uint8Array, digest: string, what: string): Uint8Array {
  const actual = digestOf(bytes);
  if (actual !== digest) throw new Error(`${what} has the digest ${actual}, not ${digest}`);
  return bytes;
}

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

export const describe = (mediaType: string, bytes: Uint8Array, annotations?: Record<string, string>): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
  ...(annotations ? { annotations } : {}),
});
