/**
 * The store: what every reader and writer of objects sees. Postgres and the watch cache both implement it.
 * Invariants S1–S12 are listed in platform/ARCHITECTURE.md ("Store invariants"), each with the test that holds it.
 *
 * A document is the object's JSON text with `kind`, `apiVersion`, `metadata` first and WITHOUT metadata.resourceVersion:
 * the revision is known only at commit. `encodeWithRevision` splices it in when the text leaves the store's readers.
 */

/** 64-bit in Postgres; a JavaScript number here (exact to 2^53, which a million writes a second reach in 285 years). */
export type Revision = number;

/** The immutable number of a tenant. `root` is 1. Never used again after a tenant is gone. */
export type TenantId = number;
export const ROOT_TENANT: TenantId = 1;
/** Reads over every tenant (`/tenants/*`). */
export const ALL_TENANTS = "*" as const;

/** `resource` is "pods" in the core group, "deployments.apps" otherwise (upstream's GroupResource text). */
export interface Key {
  tenant: TenantId;
  resource: string;
  /** "" for cluster-scoped objects. */
  namespace: string;
  name: string;
}

export interface StoredObject {
  key: Key;
  uid: string;
  revision: Revision;
  /** JSON text, see above. */
  document: string;
  /** What selectors need, read once when the document was written or loaded. */
  labels: Readonly<Record<string, string>>;
  /** Selectable fields, always including metadata.name and metadata.namespace. */
  fields: Readonly<Record<string, string>>;
  /** What encrypted it in the database (encryption/sealing.ts); unset for what is stored as it is. */
  sealedBy?: string;
}

/** What a writer hands over; the store reads nothing out of documents. */
export interface NewDocument {
  uid: string;
  document: string;
  labels: Record<string, string>;
  fields: Record<string, string>;
  /** metadata.deletionTimestamp is set: what a guard with `notTerminating` looks at. */
  terminating: boolean;
}

export type Operation =
  | { type: "create"; key: Key; object: NewDocument }
  /** Applies when the stored uid and revision are still these. */
  | { type: "update"; key: Key; object: NewDocument; expected: { uid: string; revision: Revision } }
  /** `object` is the final state that watchers of the deletion see. */
  | { type: "delete"; key: Key; object: NewDocument; expected: { uid: string; revision: Revision } };

/** The row lives; with `revision`, unchanged since; with `notTerminating`, without a deletion mark (column `terminating`). */
export interface Guard {
  key: Key;
  revision?: Revision;
  notTerminating?: boolean;
}

/** Amounts in base units: millicores, bytes, counts. Negative deltas give back. */
export interface LedgerChange {
  tenant: TenantId;
  /** For example "node/worker-1", "quota/default/compute", "ip/10.96.0.10". */
  ledger: string;
  delta: Record<string, number>;
  /** Set: the write is refused where used + delta would exceed the ledger's limit. Unset: moves it without asking. */
  enforce: boolean;
  /** Replaces the ledger's limits (a node's allocatable, a quota's hard); null removes the ledger. */
  limits?: Record<string, number> | null;
}

/** All or nothing. */
export interface Write {
  operations: Operation[];
  guards?: Guard[];
  ledgers?: LedgerChange[];
  /** S12: the transaction may be acknowledged before it is on disk (node heartbeats, Events). */
  relaxed?: boolean;
  /** Put there by the cache. Without it the database is asked. */
  seen?: Seen;
}

/**
 * What a writer's cache held of the rows that it writes and guards, all at one revision: operations first, then guards, in their order.
 * `terminating` is told of those only that a guard asks about.
 */
export interface Seen {
  revision: Revision;
  rows: readonly ({ uid: string; revision: Revision; terminating: boolean } | undefined)[];
}

export type WriteResult =
  | { ok: true; revisions: Revision[] }
  | { ok: false; why: "exists" | "notFound" | "changed"; operation: number; current?: StoredObject }
  | { ok: false; why: "guard"; guard: number }
  | { ok: false; why: "ledger"; ledger: number; resource: string; used: number; limit: number };

/** Which objects a list or watch is about. `namespace` unset: all namespaces. */
export interface Scope {
  tenant: TenantId | typeof ALL_TENANTS;
  resource: string;
  namespace?: string;
  name?: string;
  /**
   * Only objects whose selectable field has this value; a watch also gets the change by which an object loses it. Served from
   * an index where the store keeps one (pods by spec.nodeName). The caller still applies its selectors.
   */
  field?: { name: string; value: string };
}

/** Decides on labels and fields alone; undefined means everything matches. */
export type Matcher = (object: {
  labels: Readonly<Record<string, string>>;
  fields: Readonly<Record<string, string>>;
}) => boolean;

export type Freshness =
  /** S8: as fresh as the database was when the request arrived. */
  | { type: "consistent" }
  /** resourceVersion=N, NotOlderThan. 0 is "whatever is at hand". */
  | { type: "atLeast"; revision: Revision }
  /** resourceVersionMatch=Exact and continued pages. Outside the kept window: throws StatusError 410 Expired. */
  | { type: "exact"; revision: Revision };

export interface ListRequest {
  scope: Scope;
  matcher?: Matcher;
  freshness: Freshness;
  limit?: number;
  /** Start after this key (keys sort by tenant, namespace, name). */
  after?: Pick<Key, "tenant" | "namespace" | "name">;
}

export interface ListResult {
  objects: readonly StoredObject[];
  revision: Revision;
  /** There is more after the last object. */
  more: boolean;
  /** How many matched objects remain after this page; undefined when a matcher makes it unknown. */
  remaining?: number;
}

export interface Change {
  type: "added" | "modified" | "deleted";
  revision: Revision;
  object: StoredObject;
  /** The state before, for what a selector used to match; undefined for "added". */
  previous?: Pick<StoredObject, "labels" | "fields">;
}

export type WatchEvent =
  | { type: "change"; change: Change }
  /** Everything up to this revision has been delivered. `initialEnd` marks the end of sendInitialEvents. */
  | { type: "bookmark"; revision: Revision; initialEnd?: boolean };

export interface WatchRequest {
  scope: Scope;
  /** Deliver what came after this revision. Too old: throws StatusError 410 Expired. "now": only what comes from here on. */
  after: Revision | "now";
  /** WatchList: first every present object as "added", then a bookmark with initialEnd. `after` is then the minimum freshness. */
  initial?: boolean;
  bookmarks?: boolean;
  signal: AbortSignal;
}

export interface Store {
  get(key: Key, freshness: Freshness): Promise<StoredObject | undefined>;
  list(request: ListRequest): Promise<ListResult>;
  /**
   * Events in revision order, never one twice, never one missed. Ends normally when `signal` aborts;
   * throws StatusError 410 when the reader is too slow for its buffer or its place was compacted (S5, S9).
   * Selectors are applied by the caller (a change may turn into added or deleted for a selector).
   */
  watch(request: WatchRequest): AsyncIterable<readonly WatchEvent[]>;
  write(write: Write): Promise<WriteResult>;
  /** Whether an update that changes nothing must be written all the same: it is encrypted by a key of before. Absent: never. */
  isStale?(object: StoredObject): boolean;
  /** The newest revision this reader has; for /readyz and lists of nothing. */
  revision(): Revision;
}

/** Puts the revision into the document: `"metadata":{` becomes `"metadata":{"resourceVersion":"N",`. */
export function encodeWithRevision(object: Pick<StoredObject, "document" | "revision">): string {
  const mark = '"metadata":{';
  const at = object.document.indexOf(mark) + mark.length;
  const rest = object.document.charCodeAt(at) === 125 /* } */ ? "" : ",";
  return `${object.document.slice(0, at)}"resourceVersion":"${object.revision}"${rest}${object.document.slice(at)}`;
}
