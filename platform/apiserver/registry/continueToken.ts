/** Tokens of paged lists: where the last page ended, at which revision, in which tenant. Opaque to clients. */
import type { Key, Revision, TenantId } from "#platform/store/port.ts";
import { badRequest, expired } from "#sdk/api/status.ts";

export interface ContinueToken {
  tenant: TenantId | "*";
  /** 0: whatever is newest (after an expired token). */
  revision: Revision;
  after: Pick<Key, "tenant" | "namespace" | "name">;
}

export const encodeToken = (t: ContinueToken): string =>
  Buffer.from(
    JSON.stringify({
      v: "capstan/v1",
      t: t.tenant,
      rv: t.revision,
      a: [t.after.tenant, t.after.namespace, t.after.name],
    }),
  ).toString("base64url");

export function decodeToken(text: string, tenant: TenantId | "*"): ContinueToken {
  try {
    const raw: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    const { v, t, rv, a } = raw as { v: string; t: TenantId | "*"; rv: number; a: [number, string, string] };
    if (v !== "capstan/v1" || t !== tenant || !Number.isSafeInteger(rv) || !Array.isArray(a)) throw new Error();
    return { tenant: t, revision: rv, after: { tenant: a[0], namespace: String(a[1]), name: String(a[2]) } };
  } catch {
    throw badRequest("continue key is not valid: illegal continue token");
  }
}

/** 410 that carries a token for the rest at whatever version is newest (S4). */
export function expiredContinue(token: ContinueToken): Error {
  const error = expired(
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
  );
  error.status.metadata = { continue: encodeToken({ ...token, revision: 0 }) };
  return error;
}
