/**
 * Signatures of artifacts by ed25519 keys, over what names the artifact's digest ("simple signing"), kept as sigstore's cosign keeps them: an
 * image tagged sha256-HEX.sig, one layer a signature. (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md)
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { z } from "zod";
import {
  type Blob,
  decode,
  encode,
  type ImageManifest,
  imageManifestSchema,
  OCI_MANIFEST,
  type Packed,
} from "./artifact.ts";
import { describe } from "./digest.ts";

export const SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature";
const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURES_MAX = 50;

const payloadSchema = z.object({
  critical: z.object({
    identity: z.object({ "docker-reference": z.string() }),
    image: z.object({ "docker-manifest-digest": z.string() }),
    type: z.literal("cosign container image signature"),
  }),
});

/** PEM texts: PKCS #8 and SubjectPublicKeyInfo. */
export function generateKeys(): { privateKey: string; publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    privateKey: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    publicKey: publicKey.export({ format: "pem", type: "spki" }).toString(),
  };
}

/** Throws for anything but an ed25519 key in PEM. */
export function publicKeyOf(pem: string): KeyObject {
  const key = createPublicKey(pem);
  if (key.asymmetricKeyType !== "ed25519") throw new Error(`the key is ${key.asymmetricKeyType}, not ed25519`);
  return key;
}

/** "SHA256:BASE64" of the public key, as people compare them. */
export const fingerprint = (key: KeyObject): string =>
  `SHA256:${createHash("sha256")
    .update(key.export({ format: "der", type: "spki" }))
    .digest("base64")
    .replace(/=+$/, "")}`;

export const signatureTag = (manifestDigest: string): string => `${manifestDigest.replace(":", "-")}.sig`;

export interface Signed {
  payload: Uint8Array;
  /** Base64. */
  signature: string;
}

export function signDigest(manifestDigest: string, reference: string, privatePem: string): Signed {
  const key = createPrivateKey(privatePem);
  if (key.asymmetricKeyType !== "ed25519") throw new Error(`the key is ${key.asymmetricKeyType}, not ed25519`);
  const payload = encode({
    critical: {
      identity: { "docker-reference": reference },
      image: { "docker-manifest-digest": manifestDigest },
      type: "cosign container image signature",
    },
    optional: null,
  });
  return { payload, signature: sign(null, payload, key).toString("base64") };
}

/** The image that carries signatures; those that `before` has stay. */
export function packSignatures(signed: readonly Signed[]): Packed {
  const layers: Blob[] = signed.map(({ payload, signature }) => ({
    descriptor: describe(SIMPLE_SIGNING, payload, { [SIGNATURE_ANNOTATION]: signature }),
    bytes: payload,
  }));
  const diffIds = layers.map(({ descriptor }) => descriptor.digest);
  const configBytes = encode({ architecture: "", os: "", config: {}, rootfs: { type: "layers", diff_ids: diffIds } });
  const config = { descriptor: describe("application/vnd.oci.image.config.v1+json", configBytes), bytes: configBytes };
  const manifest = encode({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: config.descriptor,
    layers: layers.map(({ descriptor }) => descriptor),
  });
  return { descriptor: describe(OCI_MANIFEST, manifest), manifest, blobs: [config, ...layers] };
}

/** The layers with signatures of such an image. Throws where it is none. */
export function signatureLayers(manifest: Uint8Array): ImageManifest["layers"] {
  const parsed = imageManifestSchema.parse(decode(manifest));
  return parsed.layers.filter(({ annotations }) => annotations?.[SIGNATURE_ANNOTATION]).slice(0, SIGNATURES_MAX);
}

/** The name of the trusted key that made one of the signatures over this digest; undefined: none did. */
export function trustedBy(
  manifestDigest: string,
  signatures: readonly Signed[],
  keys: ReadonlyMap<string, KeyObject>,
): string | undefined {
  for (const { payload, signature } of signatures) {
    if (!names(payload, manifestDigest)) continue;
    for (const [name, key] of keys) if (verify(null, payload, key, Buffer.from(signature, "base64"))) return name;
  }
  return undefined;
}

function names(payload: Uint8Array, manifestDigest: string): boolean {
  try {
    const parsed = payloadSchema.safeParse(decode(payload));
    return parsed.success && parsed.data.critical.image["docker-manifest-digest"] === manifestDigest;
  } catch {
    return false;
  }
}
