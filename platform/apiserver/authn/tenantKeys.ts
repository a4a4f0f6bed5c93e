/**
 * Each tenant's own authorities: a P-256 key for its client certificates and one for its tokens, derived from root's secret and the tenant's
 * number (HKDF, RFC 5869). Nothing is stored, every API server knows the same, and a number that is never used again has keys that are never
 * used again. What a key has signed is its tenant's and nobody else's.
 */
import { createECDH, createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from "node:crypto";
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import { type SigningKey, signingKeyOf } from "./jwt.ts";

const SALT = "capstan.dev/tenant-keys/v1";
/** Order of P-256's group. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
/** 128 bits more than the order has: what the remainder favours is beyond measure. */
const DERIVED_BYTES = 48;
const CACHE_MAX = 2000;

const base64url = (bytes: Buffer): string => bytes.toString("base64url");

function derive(secret: Buffer, info: string): KeyObject {
  const bytes = Buffer.from(hkdfSync("sha256", secret, SALT, info, DERIVED_BYTES));
  const scalar = (BigInt(`0x${bytes.toString("hex")}`) % (ORDER - 1n)) + 1n;
  const d = Buffer.from(scalar.toString(16).padStart(64, "0"), "hex");
  const ecdh = createECDH("prime256v1");
  ecdh.setPrivateKey(d);
  const point = ecdh.getPublicKey();
  const [x, y] = [base64url(point.subarray(1, 33)), base64url(point.subarray(33))];
  return createPrivateKey({ format: "jwk", key: { kty: "EC", crv: "P-256", d: base64url(d), x, y } });
}

/** Subject and issuer of a tenant's authority; the number is all it says. */
const AUTHORITY = "capstan:tenant:";
export const authorityName = (tenant: TenantId): string => AUTHORITY + tenant;
export function tenantOfAuthority(commonName: string): TenantId | undefined {
  const number = commonName.startsWith(AUTHORITY) ? commonName.slice(AUTHORITY.length) : "";
  return /^[1-9]\d{0,14}$/.test(number) ? Number(number) : undefined;
}

export class TenantKeys {
  readonly #secret: Buffer;
  readonly #root: SigningKey;
  readonly #authorities = new Map<TenantId, { privateKey: KeyObject; publicKey: KeyObject }>();
  readonly #tokens = new Map<TenantId, SigningKey>();

  /** `secret` is the PEM of root's authority's private key; `root` signs root's own tokens. */
  constructor(secret: string, root: SigningKey) {
    this.#secret = createPrivateKey(secret).export({ type: "pkcs8", format: "der" });
    this.#root = root;
  }

  /** Signs the client certificates of a tenant that is not root. */
  authority(tenant: TenantId): { privateKey: KeyObject; publicKey: KeyObject } {
    return remembered(this.#authorities, tenant, () => {
      const privateKey = derive(this.#secret, `client-authority/${tenant}`);
      return { privateKey, publicKey: createPublicKey(privateKey) };
    });
  }

  /** Signs the tenant's service-account tokens. */
  tokens(tenant: TenantId): SigningKey {
    if (tenant === ROOT_TENANT) return this.#root;
    return remembered(this.#tokens, tenant, () => signingKeyOf(derive(this.#secret, `tokens/${tenant}`)));
  }
}

function remembered<T>(known: Map<TenantId, T>, tenant: TenantId, make: () => T): T {
  const found = known.get(tenant);
  if (found) return found;
  if (known.size >= CACHE_MAX) known.clear();
  const made = make();
  known.set(tenant, made);
  return made;
}
