/**
 * Tokens that live in secrets of type kubernetes.io/service-account-token: without an end, valid while their secret holds them and their account
 * lives (upstream: pkg/serviceaccount/legacy.go).
 */
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { type SigningKey, signToken } from "./jwt.ts";

export const LEGACY_ISSUER = "kubernetes/serviceaccount";
const TENANT_CLAIM = "capstan.dev/tenant";
const CLAIM = "kubernetes.io/serviceaccount/";

export interface LegacySubject {
  tenant: TenantId;
  namespace: string;
  account: { name: string; uid: string };
  secret: string;
}

export const issueLegacyToken = (key: SigningKey, { tenant, namespace, account, secret }: LegacySubject): string =>
  signToken(key, {
    iss: LEGACY_ISSUER,
    [`${CLAIM}namespace`]: namespace,
    [`${CLAIM}secret.name`]: secret,
    [`${CLAIM}service-account.name`]: account.name,
    [`${CLAIM}service-account.uid`]: account.uid,
    sub: `system:serviceaccount:${namespace}:${account.name}`,
    [TENANT_CLAIM]: tenant,
  });

/** The tenant whose key signs a token; one that names none, as another controller manager makes it, is root's. Undefined for other tokens. */
export function legacyTenant(claims: JsonObject): TenantId | undefined {
  const tenant = claims[TENANT_CLAIM] ?? ROOT_TENANT;
  return claims["iss"] === LEGACY_ISSUER && typeof tenant === "number" ? tenant : undefined;
}

/** Undefined for other tokens. */
export function legacySubject(claims: JsonObject): LegacySubject | undefined {
  const tenant = legacyTenant(claims);
  const [namespace, secret] = [claims[`${CLAIM}namespace`], claims[`${CLAIM}secret.name`]];
  const [name, uid] = [claims[`${CLAIM}service-account.name`], claims[`${CLAIM}service-account.uid`]];
  if (tenant === undefined) return undefined;
  if (typeof namespace !== "string" || typeof secret !== "string") return undefined;
  if (typeof name !== "string" || typeof uid !== "string") return undefined;
  if (claims["sub"] !== `system:serviceaccount:${namespace}:${name}`) return undefined;
  return { tenant, namespace, account: { name, uid }, secret };
}
