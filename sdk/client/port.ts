/**
 * The typed REST client that every loop, plugin capability and the console use. It speaks only the public API.
 * A path prefix selects the tenant: "" the credential's own, "/tenants/NAME" one tenant, "/tenants/*" the wildcard (reads only).
 */
import {
  type GroupVersionResource,
  type JsonObject,
  type KubeList,
  type KubeObject,
  TENANT_ANNOTATION,
} from "../api/object.ts";

export { TENANT_ANNOTATION };

/** The tenant an object read by a loop belongs to. */
export const tenantOf = (object: KubeObject): string => object.metadata.annotations?.[TENANT_ANNOTATION] ?? "root";

export interface ListOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  limit?: number;
  continue?: string;
  resourceVersion?: string;
  resourceVersionMatch?: "Exact" | "NotOlderThan";
  /** Only metadata (PartialObjectMetadata): for loops that never read spec or status. */
  metadataOnly?: boolean;
}

export interface WatchOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  resourceVersion?: string;
  /** WatchList: every present object as ADDED first, then a bookmark annotated `k8s.io/initial-events-end: "true"`. */
  sendInitialEvents?: boolean;
  metadataOnly?: boolean;
  signal: AbortSignal;
}

export type WatchEvent<T> =
  | { type: "ADDED" | "MODIFIED" | "DELETED"; object: T }
  | { type: "BOOKMARK"; object: KubeObject };

export type Patch =
  | { type: "json"; body: JsonObject[] }
  | { type: "merge" | "strategic"; body: JsonObject }
  | { type: "apply"; body: KubeObject; fieldManager: string; force?: boolean };

export interface WriteOptions {
  subresource?: string;
  fieldManager?: string;
  dryRun?: boolean;
}

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: "Orphan" | "Background" | "Foreground";
  preconditions?: { uid?: string; resourceVersion?: string };
}

export interface Name {
  namespace?: string;
  name: string;
}

/** Failures throw StatusError (sdk/api/status.ts); a lost connection throws StatusError 503 ServiceUnavailable. */
export interface Client {
  /** The same connection and credential, addressed at another tenant ("*" for the wildcard). */
  tenant(name: string): Client;
  get<T extends KubeObject>(r: GroupVersionResource, n: Name): Promise<T>;
  list<T extends KubeObject>(r: GroupVersionResource, o?: ListOptions): Promise<KubeList<T>>;
  /** Ends when the server ends it or the signal aborts; throws StatusError 410 for a resourceVersion too old. */
  watch<T extends KubeObject>(r: GroupVersionResource, o: WatchOptions): AsyncIterable<WatchEvent<T>>;
  create<T extends KubeObject>(r: GroupVersionResource, object: T, o?: WriteOptions & { name?: string }): Promise<T>;
  update<T extends KubeObject>(r: GroupVersionResource, object: T, o?: WriteOptions): Promise<T>;
  patch<T extends KubeObject>(r: GroupVersionResource, n: Name, patch: Patch, o?: WriteOptions): Promise<T>;
  delete(r: GroupVersionResource, n: Name, o?: DeleteOptions): Promise<void>;
  deleteCollection(r: GroupVersionResource, o: ListOptions & DeleteOptions): Promise<void>;
  /** Any other request; path begins with "/api", "/apis", "/version" … and gets the tenant's prefix. */
  raw(
    method: string,
    path: string,
    body?: string,
    headers?: Record<string, string>,
  ): Promise<{ code: number; body: string }>;
  close(): void;
}

/** A live, indexed copy of one resource. Handlers see every change in order; state is the truth (level-based). */
export interface Informer<T extends KubeObject> {
  /** Resolves once the first list is in. Restarts by itself after 410 or a lost connection, with back-off, logged. */
  start(signal: AbortSignal): Promise<void>;
  synced(): boolean;
  /** Key: "tenant/namespace/name", namespace "" for cluster-scoped objects. */
  get(key: string): T | undefined;
  list(): T[];
  size(): number;
  byIndex(index: string, value: string): T[];
  on(handler: { added?(object: T): void; updated?(object: T, old: T): void; deleted?(object: T): void }): void;
}

export interface InformerOptions<T> extends Omit<ListOptions, "limit" | "continue"> {
  indexes?: Record<string, (object: T) => string[]>;
  /** What is kept of an object and told to handlers (client-go: TransformFunc). Its key, uid and resourceVersion must stay. */
  transform?(object: T): T;
}

/** A transform for those who never read who owns which field: half of a small object is that (client-go: TransformStripManagedFields). */
export function withoutManagedFields<T extends KubeObject>(object: T): T {
  if (!object.metadata.managedFields) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** "tenant/namespace/name": the key of informers, work queues, metrics and logs. */
export const keyOf = (object: KubeObject): string =>
  `${tenantOf(object)}/${object.metadata.namespace ?? ""}/${object.metadata.name ?? ""}`;
