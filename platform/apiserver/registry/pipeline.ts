/** The steps that creates, updates and deletes share: defaults, field owners, admission, and what the store is told. */
import type { Key, Operation, Store, Write } from "#platform/store/port.ts";
import type { DynamicObject, GroupVersionKind } from "#sdk/api/object.ts";
import type { Admission, AdmissionAttributes } from "./admission.ts";
import type { Catalog } from "./catalog.ts";
import { inVersion, isConverted, type Versioned } from "./conversion.ts";
import { decode } from "./document.ts";
import type { MetaRules } from "./meta.ts";
import { wantsKnownFinalizers } from "./meta-checks.ts";
import type { TypeRules } from "./ports.ts";
import type { Effects, EffectsRequest, RequestContext, ResourceEntry } from "./strategy.ts";

export const UPDATE_ATTEMPTS_MAX = 16;
export const ALLOCATION_ATTEMPTS_MAX = 64;

export interface WriteOptions {
  dryRun: boolean;
  fieldManager: string;
  /** Server-side apply keeps its own managed fields. */
  keepsManagedFields?: boolean;
}

/** What writes of every kind cost (quotas): belongs to the same transaction as the write. Throws StatusError to refuse it. */
export interface Accounting {
  effects(request: EffectsRequest & { entry: ResourceEntry }): Promise<Effects>;
}

export interface RegistryParts {
  store: Store;
  accounting?: Accounting;
  admission: Admission;
  types: TypeRules;
  catalog: Catalog;
  clock: { now(): number };
}

export type ReviewRequest = Pick<AdmissionAttributes, "operation" | "subresource" | "object" | "oldObject" | "dryRun"> &
  Partial<Pick<AdmissionAttributes, "kind" | "namespace" | "name">>;

export class Pipeline {
  readonly store: Store;
  readonly clock: { now(): number };
  readonly #admission: Admission;
  readonly #types: TypeRules;
  readonly #accounting: Accounting | undefined;

  constructor({ store, admission, types, clock, accounting }: RegistryParts) {
    this.store = store;
    this.clock = clock;
    this.#admission = admission;
    this.#types = types;
    this.#accounting = accounting;
  }

  key(context: RequestContext, entry: ResourceEntry, namespace: string, name: string): Key {
    return {
      tenant: context.tenant,
      resource: entry.storeResource,
      namespace: entry.facts.namespaced ? namespace : "",
      name,
    };
  }

  /** In the entry's own version. */
  async toVersion(context: RequestContext, entry: ResourceEntry, stored: Versioned): Promise<DynamicObject> {
    const [ready = stored] = isConverted(entry) ? await inVersion(entry, context.tenant, [stored]) : [];
    const object = decode(ready);
    return entry.strategy.storage ? entry.strategy.storage.fromStorage(object) : object;
  }

  #rules(entry: ResourceEntry): TypeRules {
    return entry.own?.rules ?? this.#types;
  }

  /** Writes the values that Go always writes. */
  fillZeros(entry: ResourceEntry, object: DynamicObject): void {
    this.#rules(entry).fillZeros(this.gvk(entry), object);
  }

  metaRules({ facts, strategy, own }: ResourceEntry): MetaRules {
    return {
      namespaced: facts.namespaced,
      validateName: strategy.validateName,
      knownFinalizers: wantsKnownFinalizers(facts, own === undefined),
    };
  }

  gvk(entry: ResourceEntry): GroupVersionKind {
    const { group, version, kind } = entry.facts;
    return { group, version, kind };
  }

  applyDefaults(entry: ResourceEntry, object: DynamicObject): void {
    this.#rules(entry).applyDefaults(this.gvk(entry), object);
    entry.strategy.applyDefaults?.(object);
  }

  manage(
    entry: ResourceEntry,
    old: DynamicObject | undefined,
    next: DynamicObject,
    subresource: string,
    options: WriteOptions,
    kind = this.gvk(entry),
  ): DynamicObject {
    return this.#rules(entry).manage(kind, old, next, {
      manager: options.fieldManager,
      subresource,
      now: this.clock.now(),
    });
  }

  async toStorage(context: RequestContext, entry: ResourceEntry, object: DynamicObject): Promise<DynamicObject> {
    const { storage } = entry.strategy;
    if (!storage) return object;
    const { group, version } = storage;
    if (!storage.convert || version === entry.facts.version) return storage.toStorage(object);
    const [converted = object] = await storage.convert(context.tenant, [object], `${group}/${version}`);
    return converted;
  }

  transaction(operation: Operation, effects: Effects, guards: NonNullable<Write["guards"]>): Write {
    return {
      operations: [operation, ...(effects.operations ?? [])],
      guards: [...guards, ...(effects.guards ?? [])],
      ledgers: effects.ledgers ?? [],
      ...(effects.relaxed ? { relaxed: true } : {}),
    };
  }

  async effects(
    context: RequestContext,
    entry: ResourceEntry,
    request: {
      operation: "create" | "update" | "delete";
      subresource: string;
      object: DynamicObject;
      old?: DynamicObject;
      dryRun: boolean;
    },
  ): Promise<Effects> {
    const whole = { context, store: this.store, ...request };
    const own = (await entry.strategy.effects?.(whole)) ?? {};
    const charged = (await this.#accounting?.effects({ ...whole, entry })) ?? {};
    return charged.operations ? { ...own, operations: [...(own.operations ?? []), ...charged.operations] } : own;
  }

  #attributes(context: RequestContext, entry: ResourceEntry, a: ReviewRequest): AdmissionAttributes {
    const metadata = (a.object ?? a.oldObject)?.metadata;
    const { group, version, resource } = entry.facts;
    return {
      tenant: context.tenant,
      tenantName: context.tenantName,
      kind: this.gvk(entry),
      resource: { group, version, resource },
      namespace: metadata?.namespace ?? "",
      name: metadata?.name ?? "",
      user: context.user,
      warn: context.warn,
      annotate: context.annotate,
      signal: context.signal,
      ...a,
    };
  }

  async mutate(
    context: RequestContext,
    entry: ResourceEntry,
    a: ReviewRequest & { object: DynamicObject },
  ): Promise<DynamicObject> {
    return (await this.admit(context, entry, a)) ?? a.object;
  }

  /** The mutating half of admission for a request that may have no object (a removal). */
  async admit(context: RequestContext, entry: ResourceEntry, a: ReviewRequest): Promise<DynamicObject | undefined> {
    const { object, warnings } = await this.#admission.mutate(this.#attributes(context, entry, a));
    for (const warning of warnings) context.warn(warning);
    return object;
  }

  async validateAdmission(context: RequestContext, entry: ResourceEntry, a: ReviewRequest): Promise<void> {
    const { warnings } = await this.#admission.validate(this.#attributes(context, entry, a));
    for (const warning of warnings) context.warn(warning);
  }
}
