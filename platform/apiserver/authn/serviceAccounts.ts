/**
 * Service-account tokens: made by TokenRequest, valid while what they are bound to lives (KEP-1205). A token names its tenant's number.
 */
import { randomUUID } from "node:crypto";
import type { Store, TenantId } from "#platform/store/port.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { unauthorized } from "#sdk/api/status.ts";
import type { UserInfo } from "../registry/admission.ts";
import type { Authenticator } from "./authenticator.ts";
import { type SigningKey, signToken, unverifiedClaims, verifyToken } from "./jwt.ts";
import { type LegacySubject, legacySubject, legacyTenant } from "./legacyTokens.ts";

export const ISSUER = "https://kubernetes.default.svc.cluster.local";
const TENANT_CLAIM = "capstan.dev/tenant";
const DELETED_GRACE_MS = 60_000;

export interface ObjectReference {
  name: string;
  uid: string;
}

export interface TokenSubject {
  tenant: TenantId;
  namespace: string;
  serviceAccount: ObjectReference;
  pod?: ObjectReference;
  node?: ObjectReference;
  secret?: ObjectReference;
}

export interface TokenClaims extends TokenSubject {
  audiences: string[];
  /** Seconds since the epoch. */
  issuedAt: number;
  expiresAt: number;
  id: string;
}

export function issueToken(
  key: SigningKey,
  subject: TokenSubject,
  o: { audiences: string[]; now: number; seconds: number; warnAfterSeconds?: number },
): { token: string; expiresAt: number } {
  const issuedAt = Math.floor(o.now / 1000);
  const expiresAt = issuedAt + o.seconds;
  const { namespace, serviceAccount, pod, node, secret } = subject;
  const token = signToken(key, {
    aud: o.audiences,
    exp: expiresAt,
    iat: issuedAt,
    iss: ISSUER,
    jti: randomUUID(),
    "kubernetes.io": {
      namespace,
      ...(node ? { node: { ...node } } : {}),
      ...(pod ? { pod: { ...pod } } : {}),
      ...(secret ? { secret: { ...secret } } : {}),
      serviceaccount: { ...serviceAccount },
      ...(o.warnAfterSeconds ? { warnafter: issuedAt + o.warnAfterSeconds } : {}),
    },
    nbf: issuedAt,
    sub: `system:serviceaccount:${namespace}:${serviceAccount.name}`,
    [TENANT_CLAIM]: subject.tenant,
  });
  return { token, expiresAt };
}

const reference = (value: unknown): ObjectReference | undefined => {
  if (value === null || typeof value !== "object") return undefined;
  const { name, uid } = value as { name?: unknown; uid?: unknown };
  return typeof name === "string" ? { name, uid: typeof uid === "string" ? uid : "" } : undefined;
};

export function readClaims(claims: JsonObject): TokenClaims | undefined {
  const own = claims["kubernetes.io"];
  const tenant = claims[TENANT_CLAIM];
  if (claims.iss !== ISSUER || own === null || typeof own !== "object" || Array.isArray(own)) return undefined;
  const { namespace } = own;
  const serviceAccount = reference(own.serviceaccount);
  if (typeof tenant !== "number" || typeof namespace !== "string" || !serviceAccount) return undefined;
  const pod = reference(own.pod);
  const node = reference(own.node);
  const secret = reference(own.secret);
  return {
    tenant,
    namespace,
    serviceAccount,
    ...(pod ? { pod } : {}),
    ...(node ? { node } : {}),
    ...(secret ? { secret } : {}),
    audiences: Array.isArray(claims.aud) ? claims.aud.map(String) : [],
    issuedAt: Number(claims.iat),
    expiresAt: Number(claims.exp),
    id: String(claims.jti),
  };
}

export function userOf(claims: TokenClaims): UserInfo {
  const { namespace, serviceAccount, pod, node } = claims;
  const extra: Record<string, string[]> = { "authentication.kubernetes.io/credential-id": [`JTI=${claims.id}`] };
  if (pod) {
    extra["authentication.kubernetes.io/pod-name"] = [pod.name];
    extra["authentication.kubernetes.io/pod-uid"] = [pod.uid];
  }
  if (node) {
    extra["authentication.kubernetes.io/node-name"] = [node.name];
    extra["authentication.kubernetes.io/node-uid"] = [node.uid];
  }
  return accountUser(claims.tenant, namespace, serviceAccount, extra);
}

const accountUser = (
  tenant: TenantId,
  namespace: string,
  { name, uid }: ObjectReference,
  extra: Record<string, string[]>,
): UserInfo => ({
  tenant,
  name: `system:serviceaccount:${namespace}:${name}`,
  uid,
  groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`],
  extra,
});

export interface TokenReviewer {
  /** The claims of a token that is good now for one of the audiences (the API's own when empty); undefined otherwise. */
  review(
    token: string,
    audiences: readonly string[],
    now: number,
    /** Where tokens that name no tenant are looked for; root without. */
    tenantName?: string,
  ): Promise<{ user: UserInfo; audiences: string[] } | undefined>;
}

/** Each tenant's own signing key. */
export type TokenKeys = (tenant: TenantId) => SigningKey;

/** The claims of a token that the key of the tenant it names has signed: a token's tenant is its issuer's. */
function verified(keys: TokenKeys, token: string): JsonObject | undefined {
  const claims = unverifiedClaims(token);
  const tenant = claims && (claims[TENANT_CLAIM] ?? legacyTenant(claims));
  if (typeof tenant !== "number" || !Number.isSafeInteger(tenant) || tenant < 1) return undefined;
  return verifyToken(keys(tenant), token);
}

export function serviceAccountTokens(keys: TokenKeys, store: Store): Authenticator & TokenReviewer {
  async function lives(
    tenant: TenantId,
    resource: string,
    namespace: string,
    ref: ObjectReference,
    now: number,
  ): Promise<boolean> {
    const key = { tenant, resource, namespace, name: ref.name };
    const stored =
      (await store.get(key, { type: "atLeast", revision: 0 })) ?? (await store.get(key, { type: "consistent" }));
    if (!stored || (ref.uid !== "" && stored.uid !== ref.uid)) return false;
    const { metadata } = JSON.parse(stored.document) as { metadata: { deletionTimestamp?: string } };
    return metadata.deletionTimestamp === undefined || Date.parse(metadata.deletionTimestamp) + DELETED_GRACE_MS > now;
  }

  async function good(claims: TokenClaims, now: number): Promise<boolean> {
    const seconds = now / 1000;
    if (!(claims.issuedAt <= seconds + 5) || !(claims.expiresAt > seconds)) return false;
    const { tenant, namespace } = claims;
    if (!(await lives(tenant, "serviceaccounts", namespace, claims.serviceAccount, now))) return false;
    if (claims.pod && !(await lives(tenant, "pods", namespace, claims.pod, now))) return false;
    if (claims.secret && !(await lives(tenant, "secrets", namespace, claims.secret, now))) return false;
    return true;
  }

  /** A token of a secret is good while the secret holds it: taking it out revokes it. */
  async function held(token: string, { tenant, namespace, account, secret }: LegacySubject, now: number) {
    if (account.uid === "" || !(await lives(tenant, "serviceaccounts", namespace, account, now))) return false;
    const key = { tenant, resource: "secrets", namespace, name: secret };
    const base64 = Buffer.from(token).toString("base64");
    const holds = (stored: { document: string } | undefined) =>
      stored !== undefined &&
      (JSON.parse(stored.document) as { data?: Record<string, string> }).data?.["token"] === base64;
    return (
      holds(await store.get(key, { type: "atLeast", revision: 0 })) ||
      holds(await store.get(key, { type: "consistent" }))
    );
  }

  return {
    async review(token, audiences, now) {
      const raw = verified(keys, token);
      const legacy = raw && legacySubject(raw);
      if (legacy) {
        // It names no audience: it is for the API's own only.
        const own = audiences.length === 0 ? [ISSUER] : audiences.filter((a) => a === ISSUER);
        if (own.length === 0 || !(await held(token, legacy, now))) return undefined;
        const { tenant, namespace, account } = legacy;
        return { user: accountUser(tenant, namespace, account, {}), audiences: own };
      }
      const claims = raw && readClaims(raw);
      if (!claims || !(await good(claims, now))) return undefined;
      const wanted = audiences.length > 0 ? audiences : [ISSUER];
      const shared = claims.audiences.filter((a) => wanted.includes(a));
      return shared.length > 0 ? { user: userOf(claims), audiences: shared } : undefined;
    },
    async authenticate({ bearer }, now) {
      if (!bearer || verified(keys, bearer) === undefined) return undefined;
      const reviewed = await this.review(bearer, [], now);
      if (!reviewed) throw unauthorized();
      return reviewed.user;
    },
  };
}
