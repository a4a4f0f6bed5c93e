/** Bootstrap tokens as Secrets (bootstrap.kubernetes.io/token), and what they sign; pure. */
import { createHmac } from "node:crypto";
import type { Secret } from "#sdk/api/generated/types.ts";

export const TOKEN_NAMESPACE = "kube-system";
export const TOKEN_TYPE = "bootstrap.kubernetes.io/token";
export const CLUSTER_INFO = { namespace: "kube-public", name: "cluster-info" };

const NAME_PREFIX = "bootstrap-token-";
const SIGNATURE_PREFIX = "jws-kubeconfig-";

const datum = (secret: Secret, key: string): string => Buffer.from(secret.data?.[key] ?? "", "base64").toString("utf8");

/** Milliseconds until the token expires: 0 or less is over (also when its time cannot be read); undefined: never. */
export function expiresInMs(secret: Secret, now: number): number | undefined {
  const text = datum(secret, "expiration");
  if (text === "") return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? 0 : at - now;
}

/** The token's id and secret; undefined for one that does not sign. */
export function signingToken(secret: Secret, now: number): { id: string; secret: string } | undefined {
  const [id, tokenSecret] = [datum(secret, "token-id"), datum(secret, "token-secret")];
  const named = secret.metadata.name === NAME_PREFIX + id;
  if (secret.type !== TOKEN_TYPE || !named || id === "" || tokenSecret === "") return undefined;
  if ((expiresInMs(secret, now) ?? 1) <= 0 || datum(secret, "usage-bootstrap-signing") !== "true") return undefined;
  return { id, secret: tokenSecret };
}

/** A JWS (RFC 7515) by HMAC-SHA256 without its content (appendix F). */
export function detachedSignature(content: string, id: string, tokenSecret: string): string {
  const part = (text: string) => Buffer.from(text).toString("base64url");
  const header = part(JSON.stringify({ alg: "HS256", kid: id }));
  const signature = createHmac("sha256", tokenSecret)
    .update(`${header}.${part(content)}`)
    .digest("base64url");
  return `${header}..${signature}`;
}

/** The data of cluster-info with a signature by each token and no others; undefined where nothing is to be signed. */
export function signedData(
  data: Record<string, string>,
  tokens: readonly { id: string; secret: string }[],
): Record<string, string> | undefined {
  const content = data["kubeconfig"];
  if (content === undefined) return undefined;
  const unsigned = Object.entries(data).filter(([key]) => !key.startsWith(SIGNATURE_PREFIX));
  const signatures = tokens.map(({ id, secret }) => [SIGNATURE_PREFIX + id, detachedSignature(content, id, secret)]);
  return Object.fromEntries([...unsigned, ...signatures]);
}
