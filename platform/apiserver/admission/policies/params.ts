/** The parameters that a binding gives its policy (apiserver's policy/generic CollectParams). */
import type { Store, TenantId } from "#platform/store/port.ts";
import type { ParamKind, ParamRef } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { decode } from "../../registry/document.ts";

export interface ParamResource {
  /** Its name in URLs. */
  resource: string;
  storeResource: string;
  namespaced: boolean;
  /** In the version that the policy names. */
  fromStorage(object: DynamicObject): DynamicObject;
}

/** What serves a kind in a tenant; undefined when nothing does. */
export type ParamKinds = (tenant: TenantId, kind: ParamKind) => ParamResource | undefined;

export class ConfigurationError extends Error {}

/** Objects, or one undefined for a policy without parameters; none when that is allowed. Throws ConfigurationError. */
export async function collectParams(
  input: { kind: ParamKind | undefined; ref: ParamRef | undefined; tenant: TenantId; namespace: string },
  kinds: ParamKinds,
  store: Store,
): Promise<(DynamicObject | undefined)[]> {
  const { kind, ref, tenant, namespace } = input;
  if (!kind || !ref) return [undefined];
  const served = kinds(tenant, kind);
  if (!served) {
    throw new ConfigurationError(`paramKind kind \`${kind.apiVersion}, Kind=${kind.kind}\` not known`);
  }
  const where = namespaceOfParams(ref, served, namespace);
  const found = await find(ref, served, { tenant, namespace: where }, store);
  if (found.length > 0 || ref.parameterNotFoundAction === "Allow") return found;
  throw new ConfigurationError("no params found for policy binding with `Deny` parameterNotFoundAction");
}

function namespaceOfParams(ref: ParamRef, { namespaced }: ParamResource, namespace: string): string {
  if (!namespaced) {
    if (ref.namespace)
      throw new ConfigurationError("paramRef.namespace must not be provided for a cluster-scoped `paramKind`");
    return "";
  }
  const where = ref.namespace || namespace;
  if (!where) {
    throw new ConfigurationError(
      "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources",
    );
  }
  return where;
}

async function find(
  ref: ParamRef,
  { storeResource: resource, namespaced, fromStorage }: ParamResource,
  { tenant, namespace }: { tenant: TenantId; namespace: string },
  store: Store,
): Promise<DynamicObject[]> {
  if (ref.name) {
    const stored = await store.get({ tenant, resource, namespace, name: ref.name }, { type: "atLeast", revision: 0 });
    return stored ? [fromStorage(decode(stored))] : [];
  }
  const { objects } = await store.list({
    scope: { tenant, resource, ...(namespaced ? { namespace } : {}) },
    matcher: ({ labels }) => selectsLabels(ref.selector, labels),
    freshness: { type: "atLeast", revision: 0 },
  });
  return objects.map((stored) => fromStorage(decode(stored)));
}
