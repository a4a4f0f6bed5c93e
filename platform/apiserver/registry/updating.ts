/** PUT, PATCH and apply of an object or one of its views (the generic registry's Update). */
import type { Key, StoredObject } from "#platform/store/port.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { badRequest, conflict, invalid, notFound, OPTIMISTIC_LOCK, StatusError } from "#sdk/api/status.ts";
import { type Causes, invalidValue } from "./causes.ts";
import type { Creation } from "./creation.ts";
import { isReleased } from "./deletion.ts";
import { encode, type Written } from "./document.ts";
import { resetStatus, toldKind } from "./generic.ts";
import { specChanged, unchanged, validateMetaUpdate } from "./meta.ts";
import { checksOnUpdate } from "./meta-checks.ts";
import { ALLOCATION_ATTEMPTS_MAX, type Pipeline, UPDATE_ATTEMPTS_MAX, type WriteOptions } from "./pipeline.ts";
import type { RequestContext, ResourceEntry, ViewStrategy } from "./strategy.ts";

export interface UpdateRequest {
  namespace: string;
  name: string;
  /** "" for the object itself. */
  subresource: string;
  /** Made anew of the present object after each lost compare-and-swap; the object carries its resourceVersion. */
  produce(old: DynamicObject): DynamicObject | Promise<DynamicObject>;
  /** The server's own change: the strategy's limits on clients don't hold for it. */
  raw?: boolean;
  /** Admission has seen it in another form (a scale). */
  reviewed?: boolean;
  /** The subresource that owns the change in managedFields, where it isn't `subresource`. */
  managedAs?: string;
  /** Retry when another writer was faster, unless `produce` named a version (patch). */
  retries: boolean;
  /** What to store when nothing is there yet (apply; PUT where the strategy allows it). */
  createIfAbsent?(): DynamicObject | Promise<DynamicObject>;
}

export class Updating {
  readonly #pipeline: Pipeline;
  readonly #creation: Creation;

  constructor(pipeline: Pipeline, creation: Creation) {
    this.#pipeline = pipeline;
    this.#creation = creation;
  }

  /** PUT, PATCH and apply of the object or one of its views. */
  async update(
    context: RequestContext,
    entry: ResourceEntry,
    request: UpdateRequest,
    options: WriteOptions,
  ): Promise<Written> {
    const key = this.#pipeline.key(context, entry, request.namespace, request.name);
    let stored = await this.#pipeline.store.get(key, { type: "consistent" });
    for (let attempt = 1; ; attempt++) {
      if (!stored) {
        if (!request.createIfAbsent) throw notFound(entry.facts, request.name);
        return await this.#creation.create(context, entry, request.namespace, await request.createIfAbsent(), options);
      }
      const attemptResult = await this.#updateOnce(context, entry, request, options, key, stored);
      if ("written" in attemptResult) return attemptResult.written;
      const mayRetry = attemptResult.allocation || (request.retries && !attemptResult.versioned);
      const attemptsMax = attemptResult.allocation ? ALLOCATION_ATTEMPTS_MAX : UPDATE_ATTEMPTS_MAX;
      if (!mayRetry || attempt >= attemptsMax) throw conflict(entry.facts, request.name, OPTIMISTIC_LOCK);
      stored = await this.#pipeline.store.get(key, { type: "consistent" });
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
    const old = await this.#pipeline.toVersion(context, entry, stored);
    let next = await request.produce(structuredClone(old));
    this.#checkIdentity(entry, request, next, old);
    const versioned =
      Boolean(next.metadata.resourceVersion) && next.metadata.resourceVersion !== old.metadata.resourceVersion;
    if (versioned) throw conflict(facts, request.name, OPTIMISTIC_LOCK);
    if (!next.metadata.resourceVersion && !strategy.allowUnconditionalUpdate) {
      throw invalid(toldKind(entry), request.name, [
        invalidValue("metadata.resourceVersion", 0, "must be specified for an update"),
      ]);
    }
    const pinned = Boolean(next.metadata.resourceVersion) && !request.retries;
    next.metadata.resourceVersion = old.metadata.resourceVersion;
    this.#pipeline.applyDefaults(entry, next);
    // What is stored has its zeros: beside it, one left out would look like a change.
    this.#pipeline.fillZeros(entry, next);
    const view = request.subresource === "" ? undefined : strategy.views[request.subresource];
    if (request.subresource !== "" && !view) throw notFoundResource();
    this.#prepare(context, entry, next, old, view !== undefined || request.raw === true);
    view?.prepareForUpdate(next, old, context);
    if (!options.keepsManagedFields)
      next = this.#pipeline.manage(entry, old, next, request.managedAs ?? request.subresource, options);
    const admitted = {
      operation: "UPDATE" as const,
      subresource: request.subresource,
      oldObject: old,
      dryRun: options.dryRun,
    };
    if (!request.reviewed) next = await this.#pipeline.mutate(context, entry, { ...admitted, object: next });
    this.#pipeline.applyDefaults(entry, next);
    if (!view && !request.raw) strategy.prepareForUpdate?.(next, old, context);
    this.#pipeline.fillZeros(entry, next);
    this.#generation(entry, next, old);
    const causes = [
      ...validateMetaUpdate(
        next.metadata,
        old.metadata,
        this.#pipeline.metaRules(entry),
        checksOnUpdate(facts, view !== undefined || request.raw === true),
      ),
      ...(request.raw ? [] : this.#validateChange(entry, view, next, old, context)),
    ];
    if (causes.length > 0) throw invalid(toldKind(entry), request.name, causes);
    if (!view && !request.raw) await strategy.authorizeWrite?.(next, old, context);
    for (const warning of view ? [] : (strategy.warnings?.(next, old) ?? [])) context.warn(warning);
    if (!request.reviewed) await this.#pipeline.validateAdmission(context, entry, { ...admitted, object: next });
    if (isReleased(entry, next)) return await this.#release(context, entry, key, stored, next, old, options);
    if (unchanged(next, old) && !this.#pipeline.store.isStale?.(stored) && isInStorageVersion(entry, stored))
      return { written: { document: stored.document, revision: stored.revision, created: false } };
    const effects = await this.#pipeline.effects(context, entry, {
      operation: "update",
      subresource: request.subresource,
      object: next,
      old,
      dryRun: options.dryRun,
    });
    const document = encode(await this.#pipeline.toStorage(context, entry, next), strategy);
    if (options.dryRun) return { written: { document: document.document, revision: stored.revision, created: false } };
    const expected = { uid: stored.uid, revision: stored.revision };
    const result = await this.#pipeline.store.write(
      this.#pipeline.transaction({ type: "update", key, object: document, expected }, effects, []),
    );
    if (result.ok)
      return { written: { document: document.document, revision: result.revisions[0] ?? 0, created: false } };
    if (result.why === "notFound" && result.operation === 0) throw notFound(facts, request.name);
    if (result.why === "changed" && result.operation === 0) return { versioned: pinned, allocation: false };
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
    const document = encode(await this.#pipeline.toStorage(context, entry, next), entry.strategy);
    if (options.dryRun) return { written: { document: document.document, revision: stored.revision, created: false } };
    const effects = await this.#pipeline.effects(context, entry, {
      operation: "delete",
      subresource: "",
      object: next,
      old,
      dryRun: false,
    });
    const expected = { uid: stored.uid, revision: stored.revision };
    const result = await this.#pipeline.store.write(
      this.#pipeline.transaction({ type: "delete", key, object: document, expected }, effects, []),
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
    if (old.metadata.deletionTimestamp) meta.deletionTimestamp = old.metadata.deletionTimestamp;
    for (const field of ["deletionGracePeriodSeconds", "generateName"] as const) {
      if (meta[field] === undefined && old.metadata[field] !== undefined)
        Object.assign(meta, { [field]: old.metadata[field] });
    }
    if (!view && entry.strategy.views.status) resetStatus(next, old);
  }

  #generation(entry: ResourceEntry, next: DynamicObject, old: DynamicObject): void {
    const { generation, raisesGeneration, keepsGeneration } = entry.strategy;
    if (!generation || keepsGeneration?.(next, old)) return;
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
}

export const notFoundResource = (): StatusError =>
  new StatusError(404, "NotFound", "the server could not find the requested resource", {});

/** What is stored in a version that is no longer the stored one is written anew, though nothing of it changed. */
function isInStorageVersion({ own, strategy }: ResourceEntry, { document }: StoredObject): boolean {
  const { storage } = strategy;
  // Built-in kinds have one stored version.
  if (!own || !storage) return true;
  const { apiVersion } = JSON.parse(document) as { apiVersion?: string };
  return apiVersion === `${storage.group}/${storage.version}`;
}
