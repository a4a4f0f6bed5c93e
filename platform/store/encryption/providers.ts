/** What seals: keys of a file. A sealed text begins with its provider's prefix (upstream's), then base64. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import type { KeyProviderKind, ProviderSpec } from "./configuration.ts";

export const SEALED = "k8s:enc:";

export interface Provider {
  /** What sealed texts of this provider begin with; "" for identity. */
  prefix: string;
  /** Prefix and all; changes whenever what was sealed before should be sealed anew. */
  readonly current: string;
  /** `where` is authenticated with the text where the method can: a text moved elsewhere does not open. */
  seal(plain: Buffer, where: Buffer): Buffer;
  /** Throws when the text was not sealed so, here and by this key. */
  open(sealed: Buffer, where: Buffer): Buffer;
  /** Undefined: `open` (or `seal`, without an argument) works at once. Otherwise what must be waited for before. */
  ready?(sealed?: Buffer): Promise<void> | undefined;
  /** The `current` of what sealed this. */
  madeBy?(sealed: Buffer): string;
  /** Why it cannot seal now; undefined when it can. */
  trouble?(): string | undefined;
  close?(): void;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const BLOCK_BYTES = 16;
const SECRETBOX_NONCE_BYTES = 24;

export function sealGcm(key: Buffer, plain: Buffer, where: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(`aes-${(key.length * 8) as 256}-gcm`, key, nonce);
  cipher.setAAD(where);
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

export function openGcm(key: Buffer, sealed: Buffer, where: Buffer): Buffer {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new Error("the sealed text is cut short");
  const cipher = createDecipheriv(`aes-${(key.length * 8) as 256}-gcm`, key, sealed.subarray(0, NONCE_BYTES));
  cipher.setAAD(where);
  cipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  return Buffer.concat([cipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), cipher.final()]);
}

type Method = Pick<Provider, "seal" | "open">;

const METHODS: Record<KeyProviderKind, (key: Buffer) => Method> = {
  aesgcm: (key) => ({
    seal: (plain, where) => sealGcm(key, plain, where),
    open: (sealed, where) => openGcm(key, sealed, where),
  }),
  aescbc: (key) => ({
    seal(plain) {
      const iv = randomBytes(BLOCK_BYTES);
      const cipher = createCipheriv(`aes-${key.length * 8}-cbc`, key, iv);
      return Buffer.concat([iv, cipher.update(plain), cipher.final()]);
    },
    open(sealed) {
      const cipher = createDecipheriv(`aes-${key.length * 8}-cbc`, key, sealed.subarray(0, BLOCK_BYTES));
      return Buffer.concat([cipher.update(sealed.subarray(BLOCK_BYTES)), cipher.final()]);
    },
  }),
  secretbox: (key) => ({
    seal(plain) {
      const nonce = randomBytes(SECRETBOX_NONCE_BYTES);
      return Buffer.concat([nonce, xsalsa20poly1305(key, nonce).encrypt(plain)]);
    },
    open(sealed) {
      const nonce = sealed.subarray(0, SECRETBOX_NONCE_BYTES);
      return Buffer.from(xsalsa20poly1305(key, nonce).decrypt(sealed.subarray(SECRETBOX_NONCE_BYTES)));
    },
  }),
};

export const identity: Provider = { prefix: "", current: "", seal: (plain) => plain, open: (sealed) => sealed };

/** One provider a key: the first seals. */
export function keyProviders(spec: Extract<ProviderSpec, { keys: unknown }>): Provider[] {
  return spec.keys.map(({ name, secret }) => {
    const prefix = `${SEALED}${spec.kind}:v1:${name}:`;
    return { prefix, current: prefix, ...METHODS[spec.kind](secret) };
  });
}
