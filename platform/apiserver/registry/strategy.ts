/**
 * What a kind may do differently from the generic registry. A strategy is stateless; everything it needs comes as an argument or was given to
 * the function that made it. The registry never names a kind.
 */
import type { Guard, LedgerChange, Operation, Store, TenantId, WriteResult } from "#platform/store/port.ts";
import type { DynamicObject, GroupVersionKind } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import type { StatusError } from "#sdk/api/status.ts";
import type { UserInfo } from "./admission.ts";
import type { Causes } from "./causes.ts";
import type { NameValidator } from "./names.ts";
import type { BodyDecoder, Patcher, TablePrinter, TypeRules } from "./ports.ts";

/** One request, as every layer under http sees it. */
export interface RequestContext {
  tenant: TenantId;
  tenantName: string;
  user: UserInfo;
  /** Milliseconds since the epoch, when the request arrived. */
  now: number;
  requestId: string;
  signal: AbortSignal;
  /** Becomes a Warning header. */
  warn(text: string): void;
  /** Becomes an annotation of the request's audit events. */
  annotate?(key: string, value: string): void;
}

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: string;
  orphanDependents?: boolean;
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun: boolean;
}

/** What belongs to the same transaction as the write of the object itself. */
export interface Effects {
  guards?: Guard[];
  ledgers?: LedgerChange[];
  operations?: Operation[];
  /** S12. */
  relaxed?: boolean;
  /** The error of a refused ledger or guard; undefined asks for another attempt (another address, for example). */
  refused?(result: Extract<WriteResult, { ok: false }>): StatusError | undefined;
}

export interface EffectsRequest {
  context: RequestContext;
  store: Store;
  operation: "create" | "update" | "delete";
  subresource: string;
  object: DynamicObject;
  old?: DynamicObject;
  dryRun: boolean;
}

/** A subresource that is a view of the object and is written by update and patch (status, finalize, resize …). */
export interface ViewStrategy {
  /** Makes of `next` what may be stored: normally the old object with the subresource's part taken from `next`. */
  prepareForUpdate(next: DynamicObject, old: DynamicObject, context: RequestContext): void;
  validateUpdate?(next: DynamicObject, old: DynamicObject, context: RequestContext): Causes;
}

/** A subresource with its own document (binding, eviction, token, scale): answers with that document. */
export interface ActionRequest {
  context: RequestContext;
  registry: RegistryAccess;
  namespace: string;
  name: string;
  verb: "get" | "create" | "update" | "patch";
  /** The document sent; unset for get. For patch, `produce` makes it of the present one. */
  body?: DynamicObject;
  produce?(current: DynamicObject): DynamicObject;
  dryRun: boolean;
  fieldManager: string;
}
export interface ActionStrategy {
  handle(request: ActionRequest): Promise<DynamicObject>;
  /** HTTP code of success; 201 for create, 200 otherwise, when unset. */
  code?: number;
}

/** What an action may do with objects: the registry's own operations, with their rules. */
export interface RegistryAccess {
  store: Store;
  read(
    context: RequestContext,
    group: string,
    resource: string,
    namespace: string,
    name: string,
  ): Promise<DynamicObject>;
  /** Admission of a change that is seen in another form than it is stored in: the form to go on with. */
  admit(
    context: RequestContext,
    request: {
      group: string;
      resource: string;
      subresource: string;
      kind: GroupVersionKind;
      namespace: string;
      name: string;
      object: DynamicObject;
      oldObject: DynamicObject;
      dryRun: boolean;
    },
  ): Promise<DynamicObject>;
  modify(
    context: RequestContext,
    request: {
      group: string;
      resource: string;
      namespace: string;
      name: string;
      subresource: string;
      /** The server's own change (a binding): no reset of status, no validation of what clients may change. */
      raw?: boolean;
      /** The subresource that owns the change in managedFields, where it isn't `subresource`. */
      managedAs?: string;
      /** `change` has shown admission what it is about (`admit`). */
      reviewed?: boolean;
      dryRun: boolean;
      fieldManager: string;
      change(object: DynamicObject): void | Promise<void>;
    },
  ): Promise<DynamicObject>;
  remove(
    context: RequestContext,
    request: { group: string; resource: string; namespace: string; name: string; options: DeleteOptions },
  ): Promise<void>;
}

/** Where a kind's documents live when it isn't under its own group and version. */
export interface StorageForm {
  group: string;
  version: string;
  resource: string;
  toStorage(object: DynamicObject): DynamicObject;
  fromStorage(object: DynamicObject): DynamicObject;
  /** Objects of one version as objects of another, in the same order, where more than the name differs. */
  convert?(tenant: TenantId, objects: readonly DynamicObject[], apiVersion: string): Promise<DynamicObject[]>;
}

export interface Strategy {
  validateName: NameValidator;
  /** The group that refusals speak of, where it isn't the kind's own. */
  toldGroup?: string;
  /** PUT of an absent object creates it. */
  allowCreateOnUpdate: boolean;
  /** PUT without resourceVersion overwrites. */
  allowUnconditionalUpdate: boolean;
  /** Changes outside metadata and status raise metadata.generation (which starts at 1). */
  generation: boolean;
  /** Changes beside these that raise it too (a deployment's annotations). */
  raisesGeneration?(next: DynamicObject, old: DynamicObject): boolean;
  /** Changes of the spec that do not raise it (a pod's binding). */
  keepsGeneration?(next: DynamicObject, old: DynamicObject): boolean;
  /** What a delete without a policy does to dependents; they go in the background when unset. */
  propagationPolicy?: "Orphan";
  /** DELETE answers with the object and not with a Status. */
  returnsDeletedObject: boolean;
  storage?: StorageForm;
  /** Values that upstream's defaulting functions set (the schema's own defaults are there already). */
  applyDefaults?(object: DynamicObject): void;
  prepareForCreate?(object: DynamicObject, context: RequestContext): void;
  prepareForUpdate?(next: DynamicObject, old: DynamicObject, context: RequestContext): void;
  validate?(object: DynamicObject, context: RequestContext): Causes;
  validateUpdate?(next: DynamicObject, old: DynamicObject, context: RequestContext): Causes;
  warnings?(object: DynamicObject, old: DynamicObject | undefined): string[];
  /** Checks that need other objects (RBAC escalation); throws StatusError. */
  authorizeWrite?(object: DynamicObject, old: DynamicObject | undefined, context: RequestContext): Promise<void>;
  /** Selectable fields besides metadata.name and metadata.namespace, and their values in an object. */
  fieldNames: readonly string[];
  fields?(object: DynamicObject): Record<string, string>;
  /** Seconds the object stays after a delete; 0 removes it at once. Kinds without this are removed at once. */
  gracePeriodSeconds?(object: DynamicObject, options: DeleteOptions): number;
  /** True keeps a deleted object although it has no finalizers (a namespace's spec.finalizers). */
  holdsDeletion?(object: DynamicObject): boolean;
  /** What a deletion mark changes besides metadata. */
  markDeleted?(object: DynamicObject): void;
  /** Throws StatusError when the object may not be deleted. */
  checkDelete?(object: DynamicObject, context: RequestContext): void;
  /** May complete `object` with allocated values (addresses). */
  effects?(request: EffectsRequest): Promise<Effects>;
  /** A kind that is asked and never stored (reviews, bindings): answers a create. */
  ask?: ActionStrategy;
  /** A status that comes with a create is stored; otherwise it is dropped. */
  createsWithStatus?: true;
  views: Readonly<Record<string, ViewStrategy>>;
  actions: Readonly<Record<string, ActionStrategy>>;
}

/** What a resource with a schema of its own brings along. */
export interface OwnTypes {
  rules: TypeRules;
  decoder: BodyDecoder;
  patcher: Patcher;
  printer: TablePrinter;
  /** Read over all tenants it shows metadata only: no tenant's conversion is run for everybody's loops. */
  metadataOverTenants: true;
}

/** One served resource: what discovery says and how it behaves. */
export interface ResourceEntry {
  facts: ResourceFacts;
  strategy: Strategy;
  /** The store's name of the resource ("pods", "deployments.apps"). */
  storeResource: string;
  /** Types of a resource that the facts don't know: its own schema decides instead of them. */
  own?: OwnTypes;
}
