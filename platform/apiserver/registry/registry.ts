/**
 * The generic registry: every kind is read and written here, by the rules of apiserver's registry/generic. It names no kind: what differs
 * is in the kind's strategy.
 */
import { randomUUID } from "node:crypto";
import { timeText } from "#platform/base/clock.ts";
import type { Key, Operation, Store, StoredObject, Write } from "#platform/store/port.ts";
import type { DynamicObject, GroupVersionKind } from "#sdk/api/object.ts";
import {
  alreadyExists,
  badRequest,
  conflict,
  forbidden,
  internal,
  invalid,
  notFound,
  OPTIMISTIC_LOCK,
  StatusError,
} from "#sdk/api/status.ts";
import type { Admission, AdmissionAttributes } from "./admission.ts";
import { type Catalog, groupResource } from "./catalog.ts";
import { type Causes, invalidValue } from "./causes.ts";
import { checkDeleteOptions, checkPreconditions, isReleased, planDeletion } from "./deletion.ts";
import { decode, encode, type Written } from "./document.ts";
import { resetStatus } from "./generic.ts";
import { specChanged, unchanged, validateMeta, validateMetaUpdate } from "./meta.ts";
import type { TypeRules } from "./ports.ts";
import type {
  DeleteOptions,
  Effects,
  RegistryAccess,
  RequestContext,
  ResourceEntry,
  ViewStrategy,
} from "./strategy.ts";

const CREATE_ATTEMPTS_MAX = 8;
const UPDATE_ATTEMPTS_MAX = 16;
const ALLOCATION_ATTEMPTS_MAX = 64;

export interface WriteOptions {
  dryRun: boolean;
  fieldManager: string;
  /** Server-side apply keeps its own managed fields. */
  keepsManagedFields?: boolean;
}

export interface UpdateRequest {
  namespace: string;
  name: string;
  /** "" for the object itself. */
  subresource: string;
  /** Made anew of the present object after each lost compare-and-swap; the object carries its resourceVersion. */
  produce(old: DynamicObject): DynamicObject | Promise<DynamicObject>;
  /** The server's own change: the strategy's limits on clients don't hold for it. */
  raw?: boolean;
  /** The subresource that owns the change in managedFields, where it isn't `subresource`. */
  managedAs?: string;
  /** Retry when another writer was faster, unless `produce` named a version (patch). */
  retries: boolean;
  /** What to store when nothing is there yet (apply; PUT where the strategy allows it). */
  createIfAbsent?(): DynamicObject | Promise<DynamicObject>;
}

export interface RegistryParts {
  store: Store;
  admission: Admission;
  types: TypeRules;
  catalog: Catalog;
  clock: { now(): number };
}

export class Registry implements RegistryAccess {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly #admission: Admission;
  readonly #types: TypeRules;
  readonly #clock: { now(): number };

  constructor({ store, admission, types, catalog, clock }: RegistryParts) {
    this.store = store;
    this.catalog = catalog;
    this.#admission = admission;
    this.#types = types;
    this.#clock = clock;
  }

  key(context: RequestContext, entry: ResourceEntry, namespace: string, name: string): Key {
    return {
      tenant: context.tenant,
      resource: entry.storeResource,
      namespace: entry.facts.namespaced ? namespace : "",
      name,
    };
  }

  /** The object as stored, in storage form. 404 when absent. */
  async get(
    context: RequestContext,
    entry: ResourceEntry,
    namespace: string,
    name: string,
    atLeast?: number,
  ): Promise<StoredObject> {
    const freshness =
      atLeast === undefined ? ({ type: "consistent" } as const) : ({ type: "atLeast", revision: atLeast } as const);
    const stored = await this.store.get(this.key(context, entry, namespace, name), freshness);
    if (!stored) throw notFound(entry.facts, name);
    return stored;
  }

  /** In the entry's own version. */
  toVersion(entry: ResourceEntry, stored: Pick<StoredObject, "document" | "revision">): DynamicObject {
    const object = decode(stored);
    return entry.strategy.storage ? entry.strategy.storage.fromStorage(object) : object;
  }

  async create(
    context: RequestContext,
    entry: ResourceEntry,
    namespace: string,
    sent: DynamicObject,
    options: WriteOptions,
  ): Promise<Written> {
    const generated = !sent.metadata.name && sent.metadata.generateName;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#createOnce(context, entry, namespace, structuredClone(sent), options);
      } catch (error) {
        // A generated name that is taken is the server's to make again.
        const taken = error instanceof StatusError && error.reason === "AlreadyExists";
        if (!generated || !taken || attempt >= CREATE_ATTEMPTS_MAX) throw error;
      }
    }
  }

  async #createOnce(
    context: RequestContext,
    entry: ResourceEntry,
    namespace: string,
    object: DynamicObject,
    options: WriteOptions,
  ): Promise<Written> {
    const { strategy, facts } = entry;
    const meta = object.metadata;
    if (facts.namespaced) {
      if (meta.namespace && meta.namespace !== namespace) {
        throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
      }
      meta.namespace = namespace;
    } else if (meta.namespace) {
      throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
    }
    if (meta.resourceVersion) throw badRequest("resourceVersion should not be set on objects to be created");
    delete meta.deletionTimestamp;
    delete meta.deletionGracePeriodSeconds;
    meta.uid = randomUUID();
    meta.creationTimestamp = timeText(context.now);
    if (!meta.name && meta.generateName) meta.name = generateName(meta.generateName);
    this.#default(entry, object);
    if (strategy.views.status) resetStatus(object, undefined);
    let next = options.keepsManagedFields ? object : this.#manage(entry, undefined, object, "", options);
    next = await this.#mutate(context, entry, {
      operation: "CREATE",
      subresource: "",
      object: next,
      dryRun: options.dryRun,
    });
    this.#default(entry, next);
    if (strategy.generation) next.metadata.generation = 1;
    else delete next.metadata.generation;
    strategy.prepareForCreate?.(next, context);
    this.#types.fillZeros(this.#gvk(entry), next);
    const causes = [
      ...validateMeta(next.metadata, facts.namespaced, strategy.validateName),
      ...(strategy.validate?.(next, context) ?? []),
    ];
    if (causes.length > 0) throw invalid(facts, next.metadata.name ?? "", causes);
    await strategy.authorizeWrite?.(next, undefined, context);
    for (const warning of strategy.warnings?.(next, undefined) ?? []) context.warn(warning);
    await this.#validateAdmission(context, entry, {
      operation: "CREATE",
      subresource: "",
      object: next,
      dryRun: options.dryRun,
    });
    return await this.#insert(context, entry, next, options);
  }

  async #insert(
    context: RequestContext,
    entry: ResourceEntry,
    object: DynamicObject,
    options: WriteOptions,
  ): Promise<Written> {
    const name = object.metadata.name ?? "";
    const key = this.key(context, entry, object.metadata.namespace ?? "", name);
    for (let attempt = 1; ; attempt++) {
      const effects = await this.#effects(context, entry, {
        operation: "create",
        subresource: "",
        object,
        dryRun: options.dryRun,
      });
      const document = encode(this.#toStorage(entry, object), entry.strategy);
      if (options.dryRun) {
        if (await this.store.get(key, { type: "consistent" })) throw alreadyExists(entry.facts, name);
        return { document: document.document, revision: 0, created: true };
      }
      const guards = entry.facts.namespaced
        ? [
            {
              key: { tenant: context.tenant, resource: "namespaces", namespace: "", name: key.namespace },
              notTerminating: true,
            },
          ]
        : [];
      const result = await this.store.write(
        this.#transaction({ type: "create", key, object: document }, effects, guards),
      );
      if (result.ok) return { document: document.document, revision: result.revisions[0] ?? 0, created: true };
      if (result.why === "exists") throw alreadyExists(entry.facts, name);
      if (result.why === "guard" && result.guard < guards.length)
        throw await this.#namespaceRefusal(context, entry, name, key.namespace);
      const refusal = effects.refused?.(result);
      if (refusal) throw refusal;
      if (attempt >= ALLOCATION_ATTEMPTS_MAX)
        throw internal("the write could not be completed against concurrent changes");
    }
  }

  /** Answers 404 or 403 for a create whose namespace is gone or going. */
  async #namespaceRefusal(
    context: RequestContext,
    entry: ResourceEntry,
    name: string,
    namespace: string,
  ): Promise<StatusError> {
    const key = { tenant: context.tenant, resource: "namespaces", namespace: "", name: namespace };
    const stored = await this.store.get(key, { type: "consistent" });
    return stored
      ? namespaceTerminating(entry.facts, name, namespace)
      : notFound({ group: "", resource: "namespaces" }, namespace);
  }

  /** PUT, PATCH and apply of the object or one of its views. */
  async update(
    context: RequestContext,
    entry: ResourceEntry,
    request: UpdateRequest,
    options: WriteOptions,
  ): Promise<Written> {
    const key = this.key(context, entry, request.namespace, request.name);
    let stored = await this.store.get(key, { type: "consistent" });
    for (let attempt = 1; ; attempt++) {
      if (!stored) {
        if (!request.createIfAbsent) throw notFound(entry.facts, request.name);
        return await this.create(context, entry, request.namespace, await request.createIfAbsent(), options);
      }
      const attemptResult = await this.#updateOnce(context, entry, request, options, key, stored);
      if ("written" in attemptResult) return attemptResult.written;
      const mayRetry = attemptResult.allocation || (request.retries && !attemptResult.versioned);
      const attemptsMax = attemptResult.allocation ? ALLOCATION_ATTEMPTS_MAX : UPDATE_ATTEMPTS_MAX;
      if (!mayRetry || attempt >= attemptsMax) throw conflict(entry.facts, request.name, OPTIMISTIC_LOCK);
      stored = await this.store.get(key, { type: "consistent" });
    }
  }

  async #updateOnce(
    context: RequestContext,
    entry: ResourceEntry,
    request: UpdateRequest,
    options: WriteOptions,
    key: Key,
    stored: StoredObject,
  ): Promise<{ written: Written } | { versioned: boolean; allocation: boolean }> {
    const { strategy, facts } = entry;
    const old = this.toVersion(entry, stored);
    let next = await request.produce(structuredClone(old));
    this.#checkIdentity(entry, request, next, old);
    const versioned =
      Boolean(next.metadata.resourceVersion) && next.metadata.resourceVersion !== old.metadata.resourceVersion;
    if (versioned) throw conflict(facts, request.name, OPTIMISTIC_LOCK);
    if (!next.metadata.resourceVersion && !strategy.allowUnconditionalUpdate) {
      throw invalid(facts, request.name, [
        invalidValue("metadata.resourceVersion", 0, "must be specified for an update"),
      ]);
    }
    const pinned = Boolean(next.metadata.resourceVersion) && !request.retries;
    next.metadata.resourceVersion = old.metadata.resourceVersion;
    this.#default(entry, next);
    const view = request.subresource === "" ? undefined : strategy.views[request.subresource];
    if (request.subresource !== "" && !view) throw notFoundResource();
    this.#prepare(context, entry, next, old, view !== undefined || request.raw === true);
    view?.prepareForUpdate(next, old, context);
    if (!options.keepsManagedFields)
      next = this.#manage(entry, old, next, request.managedAs ?? request.subresource, options);
    const admitted = {
      operation: "UPDATE" as const,
      subresource: request.subresource,
      oldObject: old,
      dryRun: options.dryRun,
    };
    next = await this.#mutate(context, entry, { ...admitted, object: next });
    this.#default(entry, next);
    if (!view && !request.raw) strategy.prepareForUpdate?.(next, old, context);
    this.#types.fillZeros(this.#gvk(entry), next);
    this.#generation(entry, next, old);
    const causes = [
      ...validateMetaUpdate(next.metadata, old.metadata),
      ...(request.raw ? [] : this.#validateChange(entry, view, next, old, context)),
    ];
    if (causes.length > 0) throw invalid(facts, request.name, causes);
    if (!view && !request.raw) await strategy.authorizeWrite?.(next, old, context);
    for (const warning of view ? [] : (strategy.warnings?.(next, old) ?? [])) context.warn(warning);
    await this.#validateAdmission(context, entry, { ...admitted, object: next });
    if (isReleased(entry, next)) return await this.#release(context, entry, key, stored, next, old, options);
    if (unchanged(next, old))
      return { written: { document: stored.document, revision: stored.revision, created: false } };
    const effects = await this.#effects(context, entry, {
      operation: "update",
      subresource: request.subresource,
      object: next,
      old,
      dryRun: options.dryRun,
    });
    const document = encode(this.#toStorage(entry, next), strategy);
    if (options.dryRun) return { written: { document: document.document, revision: stored.revision, created: false } };
    const expected = { uid: stored.uid, revision: stored.revision };
    const result = await this.store.write(
      this.#transaction({ type: "update", key, object: document, expected }, effects, []),
    );
    if (result.ok)
      return { written: { document: document.document, revision: result.revisions[0] ?? 0, created: false } };
    if (result.why === "notFound" && result.operation === 0) throw notFound(facts, request.name);
    if (result.why === "changed") return { versioned: pinned, allocation: false };
    const refusal = effects.refused?.(result);
    if (refusal) throw refusal;
    return { versioned: false, allocation: true };
  }

  /** The last finalizer is gone: the update is the deletion. */
  async #release(
    context: RequestContext,
    entry: ResourceEntry,
    key: Key,
    stored: StoredObject,
    next: DynamicObject,
    old: DynamicObject,
    options: WriteOptions,
  ): Promise<{ written: Written } | { versioned: boolean; allocation: boolean }> {
    const document = encode(this.#toStorage(entry, next), entry.strategy);
    if (options.dryRun) return { written: { document: document.document, revision: stored.revision, created: false } };
    const effects = await this.#effects(context, entry, {
      operation: "delete",
      subresource: "",
      object: next,
      old,
      dryRun: false,
    });
    const expected = { uid: stored.uid, revision: stored.revision };
    const result = await this.store.write(
      this.#transaction({ type: "delete", key, object: document, expected }, effects, []),
    );
    if (result.ok)
      return { written: { document: document.document, revision: result.revisions[0] ?? 0, created: false } };
    return { versioned: false, allocation: false };
  }

  #checkIdentity(entry: ResourceEntry, request: UpdateRequest, next: DynamicObject, old: DynamicObject): void {
    const { metadata } = next;
    if (metadata.name && metadata.name !== request.name) {
      throw badRequest(
        `the name of the object (${metadata.name}) does not match the name on the URL (${request.name})`,
      );
    }
    if (entry.facts.namespaced && metadata.namespace && metadata.namespace !== request.namespace) {
      throw badRequest(
        `the namespace of the object (${metadata.namespace}) does not match the namespace on the URL (${request.namespace})`,
      );
    }
    if (metadata.uid && metadata.uid !== old.metadata.uid) {
      throw conflict(
        entry.facts,
        request.name,
        `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${old.metadata.uid}`,
      );
    }
    metadata.name = old.metadata.name;
    if (entry.facts.namespaced) metadata.namespace = old.metadata.namespace;
  }

  /** What a client cannot change whatever it sends (rest.BeforeUpdate). */
  #prepare(
    _context: RequestContext,
    entry: ResourceEntry,
    next: DynamicObject,
    old: DynamicObject,
    view: boolean,
  ): void {
    const meta = next.metadata;
    meta.uid = old.metadata.uid;
    meta.creationTimestamp = old.metadata.creationTimestamp;
    if (old.metadata.generation === undefined) delete meta.generation;
    else meta.generation = old.metadata.generation;
    for (const field of ["deletionTimestamp", "deletionGracePeriodSeconds", "generateName"] as const) {
      if (meta[field] === undefined && old.metadata[field] !== undefined)
        Object.assign(meta, { [field]: old.metadata[field] });
    }
    if (!view && entry.strategy.views.status) resetStatus(next, old);
  }

  #generation(entry: ResourceEntry, next: DynamicObject, old: DynamicObject): void {
    const { generation, raisesGeneration } = entry.strategy;
    if (!generation) return;
    if (specChanged(next, old) || raisesGeneration?.(next, old)) {
      next.metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
  }

  #validateChange(
    entry: ResourceEntry,
    view: ViewStrategy | undefined,
    next: DynamicObject,
    old: DynamicObject,
    context: RequestContext,
  ): Causes {
    if (view) return view.validateUpdate?.(next, old, context) ?? [];
    const { validateUpdate, validate } = entry.strategy;
    return validateUpdate ? validateUpdate(next, old, context) : (validate?.(next, context) ?? []);
  }

  /** The object when something still holds it or the kind answers with it; `status` otherwise. */
  async delete(
    context: RequestContext,
    entry: ResourceEntry,
    namespace: string,
    name: string,
    options: DeleteOptions,
  ): Promise<{ removed: boolean; written: Written; uid: string }> {
    checkDeleteOptions(options);
    const key = this.key(context, entry, namespace, name);
    let admitted = false;
    for (let attempt = 1; ; attempt++) {
      const stored = await this.store.get(key, { type: "consistent" });
      if (!stored) throw notFound(entry.facts, name);
      const old = this.toVersion(entry, stored);
      checkPreconditions(entry, old, options);
      entry.strategy.checkDelete?.(old, context);
      if (!admitted) {
        await this.#validateAdmission(context, entry, {
          operation: "DELETE",
          subresource: "",
          oldObject: old,
          dryRun: options.dryRun,
        });
        admitted = true;
      }
      const { outcome, object } = planDeletion(entry, structuredClone(old), options, this.#clock.now());
      const removed = outcome === "remove";
      if (outcome === "keep")
        return {
          removed,
          written: { document: stored.document, revision: stored.revision, created: false },
          uid: stored.uid,
        };
      const document = encode(this.#toStorage(entry, object), entry.strategy);
      if (options.dryRun)
        return {
          removed,
          written: { document: document.document, revision: stored.revision, created: false },
          uid: stored.uid,
        };
      const effects = await this.#effects(context, entry, {
        operation: removed ? "delete" : "update",
        subresource: "",
        object,
        old,
        dryRun: false,
      });
      const expected = { uid: stored.uid, revision: stored.revision };
      const result = await this.store.write(
        this.#transaction({ type: removed ? "delete" : "update", key, object: document, expected }, effects, []),
      );
      if (result.ok)
        return {
          removed,
          written: { document: document.document, revision: result.revisions[0] ?? 0, created: false },
          uid: stored.uid,
        };
      if (result.why !== "changed" && result.why !== "notFound") {
        const refusal = effects.refused?.(result);
        if (refusal) throw refusal;
      }
      if (attempt >= UPDATE_ATTEMPTS_MAX) throw conflict(entry.facts, name, OPTIMISTIC_LOCK);
    }
  }

  async read(
    context: RequestContext,
    group: string,
    resource: string,
    namespace: string,
    name: string,
  ): Promise<DynamicObject> {
    const entry = this.#entry(group, resource);
    return this.toVersion(entry, await this.get(context, entry, namespace, name));
  }

  async modify(context: RequestContext, request: Parameters<RegistryAccess["modify"]>[1]): Promise<DynamicObject> {
    const entry = this.#entry(request.group, request.resource);
    const produce = (object: DynamicObject) => {
      request.change(object);
      return object;
    };
    const { namespace, name, subresource, dryRun, fieldManager } = request;
    const written = await this.update(
      context,
      entry,
      { namespace, name, subresource, produce, retries: true, raw: request.raw ?? false, managedAs: request.managedAs },
      { dryRun, fieldManager },
    );
    return this.toVersion(entry, written);
  }

  async remove(context: RequestContext, request: Parameters<RegistryAccess["remove"]>[1]): Promise<void> {
    await this.delete(
      context,
      this.#entry(request.group, request.resource),
      request.namespace,
      request.name,
      request.options,
    );
  }

  #entry(group: string, resource: string): ResourceEntry {
    const entry = this.catalog.byName(group, resource);
    if (!entry) throw internal(`resource ${groupResource(group, resource)} is not served`);
    return entry;
  }

  #gvk(entry: ResourceEntry): GroupVersionKind {
    const { group, version, kind } = entry.facts;
    return { group, version, kind };
  }

  #default(entry: ResourceEntry, object: DynamicObject): void {
    this.#types.applyDefaults(this.#gvk(entry), object);
    entry.strategy.applyDefaults?.(object);
  }

  #manage(
    entry: ResourceEntry,
    old: DynamicObject | undefined,
    next: DynamicObject,
    subresource: string,
    options: WriteOptions,
  ): DynamicObject {
    return this.#types.manage(this.#gvk(entry), old, next, {
      manager: options.fieldManager,
      subresource,
      now: this.#clock.now(),
    });
  }

  #toStorage(entry: ResourceEntry, object: DynamicObject): DynamicObject {
    return entry.strategy.storage ? entry.strategy.storage.toStorage(object) : object;
  }

  #transaction(operation: Operation, effects: Effects, guards: NonNullable<Write["guards"]>): Write {
    return {
      operations: [operation, ...(effects.operations ?? [])],
      guards: [...guards, ...(effects.guards ?? [])],
      ledgers: effects.ledgers ?? [],
      ...(effects.relaxed ? { relaxed: true } : {}),
    };
  }

  async #effects(
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
    return (await entry.strategy.effects?.({ context, store: this.store, ...request })) ?? {};
  }

  #attributes(
    context: RequestContext,
    entry: ResourceEntry,
    a: Pick<AdmissionAttributes, "operation" | "subresource" | "object" | "oldObject" | "dryRun">,
  ): AdmissionAttributes {
    const metadata = (a.object ?? a.oldObject)?.metadata;
    const { group, version, resource } = entry.facts;
    return {
      tenant: context.tenant,
      tenantName: context.tenantName,
      kind: this.#gvk(entry),
      resource: { group, version, resource },
      namespace: metadata?.namespace ?? "",
      name: metadata?.name ?? "",
      user: context.user,
      ...a,
    };
  }

  async #mutate(
    context: RequestContext,
    entry: ResourceEntry,
    a: Parameters<Registry["validateAction"]>[2] & { object: DynamicObject },
  ): Promise<DynamicObject> {
    const { object, warnings } = await this.#admission.mutate(this.#attributes(context, entry, a));
    for (const warning of warnings) context.warn(warning);
    return object ?? a.object;
  }

  async #validateAdmission(
    context: RequestContext,
    entry: ResourceEntry,
    a: Parameters<Registry["validateAction"]>[2],
  ): Promise<void> {
    const { warnings } = await this.#admission.validate(this.#attributes(context, entry, a));
    for (const warning of warnings) context.warn(warning);
  }

  /** Admission of what isn't a write of the object itself (CONNECT to a pod, for example). */
  async validateAction(
    context: RequestContext,
    entry: ResourceEntry,
    a: Pick<AdmissionAttributes, "operation" | "subresource" | "object" | "oldObject" | "dryRun">,
  ): Promise<void> {
    await this.#validateAdmission(context, entry, a);
  }
}

export const notFoundResource = (): StatusError =>
  new StatusError(404, "NotFound", "the server could not find the requested resource", {});

export function namespaceTerminating(
  r: { group: string; resource: string },
  name: string,
  namespace: string,
): StatusError {
  const error = forbidden(
    r,
    name,
    `unable to create new content in namespace ${namespace} because it is being terminated`,
  );
  const cause = {
    reason: "NamespaceTerminating",
    message: `namespace ${namespace} is being terminated`,
    field: "metadata.namespace",
  };
  error.status.details = { ...error.status.details, causes: [cause] };
  return error;
}

const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const NAME_BASE_LENGTH_MAX = 58;

/** Five characters that cannot spell words, as upstream's names.SimpleNameGenerator. */
export const randomSuffix = (length: number): string =>
  Array.from({ length }, () => ALPHABET[Math.floor(Math.random() * ALPHABET.length)]).join("");

const generateName = (base: string): string => `${base.slice(0, NAME_BASE_LENGTH_MAX)}${randomSuffix(5)}`;
