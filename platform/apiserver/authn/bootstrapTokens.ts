/** Tokens by which machines join: `ID.SECRET`, kept as Secrets of kube-system, of type bootstrap.kubernetes.io/token. Each tenant has its own. */
import { timingSafeEqual } from "node:crypto";
import { ROOT_TENANT, type Store } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import type { Authenticator } from "./authenticator.ts";

const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const BOOTSTRAPPERS = "system:bootstrappers";
const GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

interface Secret {
  metadata: { deletionTimestamp?: string };
  type?: string;
  data?: Record<string, string>;
}

const same = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

/** The token's groups; undefined where the secret does not let it log in now. */
export function groupsOfToken(secret: Secret, id: string, tokenSecret: string, now: number): string[] | undefined {
  const datum = (key: string) => Buffer.from(secret.data?.[key] ?? "", "base64").toString("utf8");
  if (secret.metadata.deletionTimestamp !== undefined || secret.type !== "bootstrap.kubernetes.io/token")
    return undefined;
  if (!same(datum("token-secret"), tokenSecret) || datum("token-id") !== id) return undefined;
  const expiration = datum("expiration");
  // What cannot be read has expired.
  if (expiration !== "" && !(Date.parse(expiration) > now)) return undefined;
  if (datum("usage-bootstrap-authentication") !== "true") return undefined;
  const extra = datum("auth-extra-groups");
  const groups = extra === "" ? [] : extra.split(",");
  return groups.every((group) => GROUP.test(group)) ? [BOOTSTRAPPERS, ...groups.toSorted()] : undefined;
}

export function bootstrapTokens(store: Store, tenants: TenantDirectory): Authenticator {
  return {
    async authenticate({ bearer, tenantName }, now) {
      const [, id, tokenSecret] = TOKEN.exec(bearer ?? "") ?? [];
      if (id === undefined || tokenSecret === undefined) return undefined;
      const named = tenantName === undefined || tenantName === "*" ? undefined : await tenants.resolve(tenantName);
      const tenant = named?.id ?? ROOT_TENANT;
      const key = { tenant, resource: "secrets", namespace: "kube-system", name: `bootstrap-token-${id}` };
      const stored = await store.get(key, { type: "consistent" });
      const groups = stored && groupsOfToken(JSON.parse(stored.document) as Secret, id, tokenSecret, now);
      return groups && { tenant, name: `system:bootstrap:${id}`, groups };
    },
  };
}
