/**
 * The shape every API object shares (Kubernetes API conventions: "Objects", "Metadata").
 * Kinds have generated types; code that works for any kind uses these.
 */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ManagedFieldsEntry {
  manager?: string;
  operation?: "Apply" | "Update";
  apiVersion?: string;
  time?: string;
  fieldsType?: "FieldsV1";
  fieldsV1?: JsonObject;
  subresource?: string;
}

/** Objects read through the tenant wildcard carry their tenant's name here; it can never be written. */
/**
 * A plugin that root installed acts as the user of this prefix and its name. What it may do is said by root's roles, in whichever
 * tenant it acts; a tenant's own roles neither add to that nor take from it.
 */
export const PLUGIN_USER_PREFIX = "system:capstan:plugin:";
/** Users of tenants' own plugins: each is known to its tenant's roles alone. */
export const TENANT_PLUGIN_USER_PREFIX = "system:capstan:tenant-plugin:";
export const PLUGINS_GROUP = "system:capstan:plugins";

export const TENANT_ANNOTATION = "capstan.dev/tenant";

export interface ObjectMeta {
  name?: string;
  generateName?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
  managedFields?: ManagedFieldsEntry[];
}

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json | undefined;
}

/** Any API object. `kind` and `apiVersion` are always set on what the server sends outside of lists. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
}

/** An object as it is handled by code that does not know its kind. */
export interface DynamicObject extends KubeObject {
  [field: string]: unknown;
}

export interface ListMeta {
  resourceVersion?: string;
  continue?: string;
  remainingItemCount?: number;
}

export interface KubeList<T = DynamicObject> {
  apiVersion?: string;
  kind?: string;
  metadata: ListMeta;
  items: T[];
}

export interface GroupVersionKind {
  group: string;
  version: string;
  kind: string;
}

export interface GroupVersionResource {
  group: string;
  version: string;
  resource: string;
}

/** "v1" for the core group, "apps/v1" otherwise. */
export function apiVersionOf(gv: { group: string; version: string }): string {
  return gv.group === "" ? gv.version : `${gv.group}/${gv.version}`;
}

export function parseApiVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf("/");
  return slash < 0
    ? { group: "", version: apiVersion }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}
