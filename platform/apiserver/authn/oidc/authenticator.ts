/** Users by JSON Web Tokens of other issuers (OpenID Connect): signature by the issuer's keys, audience, times, then the configured mapping. */
import { constants, type KeyObject, verify } from "node:crypto";
import { type Log, messageOf } from "#platform/base/log.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { unauthorized } from "#sdk/api/status.ts";
import type { Authenticator } from "../authenticator.ts";
import { unverifiedClaims } from "../jwt.ts";
import type { IssuerSpec } from "./configuration.ts";
import { type IssuerKey, IssuerKeys } from "./keys.ts";

const CURVES: Readonly<Record<string, string>> = { ES256: "prime256v1", ES384: "secp384r1", ES512: "secp521r1" };
/** Clocks differ: what is not valid yet is, so much earlier. */
const NOT_BEFORE_LEEWAY_S = 300;
const TOKEN_BYTES_MAX = 64 * 1024;

/** Which way an algorithm of RFC 7518 verifies with a key; undefined where it is not taken or the key is of another kind. */
function verifies(algorithm: string, key: KeyObject, input: Buffer, signature: Buffer): boolean {
  const [, family = "", bits = ""] = /^(RS|PS|ES)(256|384|512)$/.exec(algorithm) ?? [];
  const hash = `sha${bits}`;
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (family === "ES")
    return (
      type === "ec" &&
      details?.namedCurve === CURVES[algorithm] &&
      verify(hash, input, { key, dsaEncoding: "ieee-p1363" }, signature)
    );
  if (type !== "rsa") return false;
  if (family === "RS") return verify(hash, input, key, signature);
  const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return family === "PS" && verify(hash, input, { key, ...padding }, signature);
}

function goodFor(keys: readonly IssuerKey[], header: { alg: string; kid?: string }, input: Buffer, signature: Buffer) {
  return keys.some(
    ({ id, algorithm, key }) =>
      (header.kid === undefined || id === undefined || id === header.kid) &&
      (algorithm === undefined || algorithm === header.alg) &&
      verifies(header.alg, key, input, signature),
  );
}

function headerOf(text: string): { alg: string; kid?: string } {
  const { alg, kid } = JSON.parse(Buffer.from(text, "base64url").toString("utf8")) as { alg?: unknown; kid?: unknown };
  if (typeof alg !== "string") throw new Error("the token names no algorithm");
  return { alg, ...(typeof kid === "string" ? { kid } : {}) };
}

function checkClaims(claims: JsonObject, audiences: readonly string[], nowSeconds: number): void {
  const { aud, exp, nbf } = claims;
  const named = Array.isArray(aud) ? aud : [aud ?? ""];
  if (!named.some((one) => audiences.includes(String(one))))
    throw new Error(`expected audience in ${JSON.stringify(audiences)}`);
  if (typeof exp !== "number" || exp < nowSeconds) throw new Error("token is expired");
  if (typeof nbf === "number" && nowSeconds + NOT_BEFORE_LEEWAY_S < nbf)
    throw new Error("current time is before the nbf time");
}

/** Users of an operator's issuers are root's. */
export function jwtAuthenticator(spec: IssuerSpec, log: Log): Authenticator {
  const { issuer, mapping } = spec;
  const keys = new IssuerKeys(issuer);

  async function check(token: string, now: number): Promise<JsonObject> {
    const [header = "", payload = "", signed = "", extra] = token.split(".");
    if (extra !== undefined || token.length > TOKEN_BYTES_MAX) throw new Error("malformed token");
    const [read, input, signature] = [
      headerOf(header),
      Buffer.from(`${header}.${payload}`),
      Buffer.from(signed, "base64url"),
    ];
    if (!goodFor(keys.known, read, input, signature) && !goodFor(await keys.refresh(), read, input, signature))
      throw new Error("failed to verify signature");
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as JsonObject;
    checkClaims(claims, issuer.audiences, now / 1000);
    return claims;
  }

  return {
    async authenticate({ bearer }, now) {
      if (!bearer || unverifiedClaims(bearer)?.["iss"] !== issuer.url) return undefined;
      try {
        return { tenant: ROOT_TENANT, ...mapping(await check(bearer, now)) };
      } catch (error) {
        log.info("a token was refused", { issuer: issuer.url, error: messageOf(error) });
        throw unauthorized();
      }
    },
  };
}
