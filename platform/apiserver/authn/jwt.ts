/** JSON Web Tokens, as far as service-account tokens need them (RFC 7515, 7519): RS256 and ES256, one signing key. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import type { JsonObject } from "#sdk/api/object.ts";

export type Algorithm = "RS256" | "ES256";

export interface SigningKey {
  algorithm: Algorithm;
  keyId: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
}

/** `pem` is a PKCS#8 or PKCS#1 private key, RSA or P-256. The key id is the SHA-256 of the public key, as upstream makes it. */
export const signingKey = (pem: string): SigningKey => signingKeyOf(createPrivateKey(pem));

export function signingKeyOf(privateKey: KeyObject): SigningKey {
  const publicKey = createPublicKey(privateKey);
  const algorithm = privateKey.asymmetricKeyType === "ec" ? "ES256" : "RS256";
  const der = publicKey.export({ type: "spki", format: "der" });
  return { algorithm, keyId: createHash("sha256").update(der).digest("base64url"), privateKey, publicKey };
}

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const dsa = { dsaEncoding: "ieee-p1363" } as const;

export function signToken(key: SigningKey, claims: JsonObject): string {
  const input = `${encoded({ alg: key.algorithm, kid: key.keyId })}.${encoded(claims)}`;
  const signature = sign("sha256", Buffer.from(input), { key: key.privateKey, ...dsa });
  return `${input}.${signature.toString("base64url")}`;
}

/** The claims, or undefined when the token is not ours (form, key or signature). Says nothing about times and audiences. */
export function verifyToken(key: SigningKey, token: string): JsonObject | undefined {
  const [header, claims, signature, extra] = token.split(".");
  if (!header || !claims || !signature || extra !== undefined) return undefined;
  try {
    const { alg, kid } = JSON.parse(Buffer.from(header, "base64url").toString("utf8")) as {
      alg?: unknown;
      kid?: unknown;
    };
    if (alg !== key.algorithm || (kid !== undefined && kid !== key.keyId)) return undefined;
    const input = Buffer.from(`${header}.${claims}`);
    if (!verify("sha256", input, { key: key.publicKey, ...dsa }, Buffer.from(signature, "base64url"))) return undefined;
    const parsed: unknown = JSON.parse(Buffer.from(claims, "base64url").toString("utf8"));
    return parsed !== null && typeof parsed === "object" ? (parsed as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

/** What a token says of itself, before anybody has looked at its signature. */
export function unverifiedClaims(token: string): JsonObject | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    return claims !== null && typeof claims === "object" ? (claims as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

/** The issuer's key set (RFC 7517). */
export function keySet(key: SigningKey): JsonObject {
  const jwk = key.publicKey.export({ format: "jwk" }) as JsonObject;
  return { keys: [{ use: "sig", kid: key.keyId, alg: key.algorithm, ...jwk }] };
}
