/** Lists: what a request asks of the store, and the pages that come of it. */
import type { Freshness, ListRequest, ListResult, Scope, Store, StoredObject, TenantId } from "#platform/store/port.ts";
import { type FieldSelector, requiredValue } from "#sdk/api/fields.ts";
import { badRequest, StatusError } from "#sdk/api/status.ts";
import { decodeToken, encodeToken, expiredContinue } from "../registry/continueToken.ts";
import { inVersion, selectsInVersion, type Versioned } from "../registry/conversion.ts";
import { matcherOf } from "../registry/selectors.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
import type { Exchange } from "./exchange.ts";
import { type ListParameters, parseResourceVersion } from "./options.ts";

/** Node agents ask for their own pods: the store has an index of them (main/store.ts). */
const INDEXED: Readonly<Record<string, string>> = { pods: "spec.nodeName" };

/** The part of a scope that an index answers. */
export function indexedField(resource: string, selector: FieldSelector): Pick<Scope, "field"> {
  const name = INDEXED[resource];
  const value = name === undefined ? undefined : requiredValue(selector, name);
  return name !== undefined && value ? { field: { name, value } } : {};
}

export interface Page {
  objects: readonly StoredObject[];
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
}

type Token = ReturnType<typeof decodeToken>;

function freshnessOf({ resourceVersion, resourceVersionMatch }: ListParameters, token: Token | undefined): Freshness {
  if (token) return token.revision > 0 ? { type: "exact", revision: token.revision } : { type: "consistent" };
  if (resourceVersionMatch === "Exact") return { type: "exact", revision: parseResourceVersion(resourceVersion) };
  if (resourceVersion === "") return { type: "consistent" };
  return { type: "atLeast", revision: parseResourceVersion(resourceVersion) };
}

/** Throws StatusError: 400 for a token that is none, 410 for one whose revision is gone. */
export async function pageOf(
  store: Store,
  { info, scope: tenant }: Exchange,
  entry: ResourceEntry,
  p: ListParameters,
): Promise<Page> {
  const token = p.continue === undefined ? undefined : decodeToken(p.continue, tenant);
  if (token && p.resourceVersion !== "" && p.resourceVersion !== "0")
    throw badRequest("specifying resource version is not allowed when using continue");
  // What only the version that is read can tell is asked of it afterwards; a page is then all there is.
  const late = tenant === "*" ? undefined : selectsInVersion(entry, p.selection.fields);
  const selection = late ? { ...p.selection, fields: late.others } : p.selection;
  const matcher = matcherOf(selection);
  const name = requiredValue(selection.fields, "metadata.name");
  const request: ListRequest = {
    scope: {
      tenant,
      resource: entry.storeResource,
      ...(entry.facts.namespaced && info.namespace ? { namespace: info.namespace } : {}),
      ...(name ? { name } : {}),
      ...indexedField(entry.storeResource, selection.fields),
    },
    freshness: freshnessOf(p, token),
    ...(matcher ? { matcher } : {}),
    ...(p.limit && !late ? { limit: p.limit } : {}),
    ...(token ? { after: token.after } : {}),
  };
  const result = await store.list(request).catch((error: unknown) => {
    throw token && error instanceof StatusError && error.code === 410 ? expiredContinue(token) : error;
  });
  const objects = late ? await matching(entry, tenant as TenantId, result.objects, late.matches) : result.objects;
  return { objects, metadata: metadataOf(tenant, result, matcher !== undefined) };
}

async function matching(
  entry: ResourceEntry,
  tenant: TenantId,
  objects: readonly StoredObject[],
  matches: (object: Versioned) => boolean,
): Promise<StoredObject[]> {
  const ready = await inVersion(entry, tenant, objects);
  return objects.filter((of, i) => matches(ready[i] ?? of));
}

function metadataOf(
  tenant: TenantId | "*",
  { revision, more, remaining, objects }: ListResult,
  selects: boolean,
): Page["metadata"] {
  const last = objects.at(-1);
  return {
    resourceVersion: String(revision),
    ...(more && last ? { continue: encodeToken({ tenant, revision, after: last.key }) } : {}),
    ...(more && remaining !== undefined && !selects ? { remainingItemCount: remaining } : {}),
  };
}
