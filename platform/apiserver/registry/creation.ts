/** Creation of an object (the generic registry's Create). */
import { randomUUID } from "node:crypto";
import { timeText } from "#platform/base/clock.ts";
import type { StoredObject } from "#platform/store/port.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { alreadyExists, badRequest, forbidden, internal, invalid, notFound, StatusError } from "#sdk/api/status.ts";
import { encode, type Written } from "./document.ts";
import { generateName } from "./generateName.ts";
import { resetStatus, toldKind } from "./generic.ts";
import { validateMeta } from "./meta.ts";
import { checksOnCreate } from "./meta-checks.ts";
import { ALLOCATION_ATTEMPTS_MAX, type Pipeline, type WriteOptions } from "./pipeline.ts";
import type { RequestContext, ResourceEntry } from "./strategy.ts";

const CREATE_ATTEMPTS_MAX = 8;

/** The object's namespace is the request's, or none for a cluster-scoped kind. */
function checkNamespace({ facts }: ResourceEntry, namespace: string, { metadata }: DynamicObject): void {
  const wanted = facts.namespaced ? namespace : "";
  if (metadata.namespace && metadata.namespace !== wanted)
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  if (facts.namespaced) metadata.namespace = namespace;
}

export class Creation {
  readonly #pipeline: Pipeline;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  async create(
    context: RequestContext,
    entry: ResourceEntry,
    namespace: string,
    sent: DynamicObject,
    options: WriteOptions,
  ): Promise<Written> {
    const generated = !sent.metadata.name && sent.metadata.generateName;
    // Only a name that is made here is tried more than once.
    if (!generated) return await this.#createOnce(context, entry, namespace, sent, options);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#createOnce(context, entry, namespace, structuredClone(sent), options);
      } catch (error) {
        // A generated name that is taken is the server's to make again.
        const taken = error instanceof StatusError && error.reason === "AlreadyExists";
        if (!taken || attempt >= CREATE_ATTEMPTS_MAX) throw error;
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
    const { strategy } = entry;
    const meta = object.metadata;
    checkNamespace(entry, namespace, object);
    delete meta.deletionTimestamp;
    delete meta.deletionGracePeriodSeconds;
    meta.uid = randomUUID();
    meta.creationTimestamp = timeText(context.now);
    if (!meta.name && meta.generateName) meta.name = generateName(meta.generateName);
    this.#pipeline.applyDefaults(entry, object);
    if (strategy.views.status && !strategy.createsWithStatus) resetStatus(object, undefined);
    let next = options.keepsManagedFields ? object : this.#pipeline.manage(entry, undefined, object, "", options);
    next = await this.#pipeline.mutate(context, entry, {
      operation: "CREATE",
      subresource: "",
      object: next,
      dryRun: options.dryRun,
    });
    // Whoever mutates must not move the object to where its creator may not write.
    checkNamespace(entry, namespace, next);
    this.#pipeline.applyDefaults(entry, next);
    if (strategy.generation) next.metadata.generation = 1;
    else delete next.metadata.generation;
    strategy.prepareForCreate?.(next, context);
    this.#pipeline.fillZeros(entry, next);
    const own = strategy.validate?.(next, context) ?? [];
    const looks = own.length === 0 || checksOnCreate(entry.facts);
    const causes = [...(looks ? validateMeta(next.metadata, this.#pipeline.metaRules(entry)) : []), ...own];
    if (causes.length > 0) throw invalid(toldKind(entry), next.metadata.name ?? "", causes);
    await strategy.authorizeWrite?.(next, undefined, context);
    for (const warning of strategy.warnings?.(next, undefined) ?? []) context.warn(warning);
    await this.#pipeline.validateAdmission(context, entry, {
      operation: "CREATE",
      subresource: "",
      object: next,
      dryRun: options.dryRun,
    });
    // Upstream's storage says it, after all who may refuse the object have been asked.
    if (next.metadata.resourceVersion) throw badRequest("resourceVersion should not be set on objects to be created");
    return await this.#insert(context, entry, next, options);
  }

  async #insert(
    context: RequestContext,
    entry: ResourceEntry,
    object: DynamicObject,
    options: WriteOptions,
  ): Promise<Written> {
    const name = object.metadata.name ?? "";
    const key = this.#pipeline.key(context, entry, object.metadata.namespace ?? "", name);
    for (let attempt = 1; ; attempt++) {
      const effects = await this.#pipeline.effects(context, entry, {
        operation: "create",
        subresource: "",
        object,
        dryRun: options.dryRun,
      });
      const document = encode(await this.#pipeline.toStorage(context, entry, object), entry.strategy);
      if (options.dryRun) {
        const taken = await this.#pipeline.store.get(key, { type: "consistent" });
        if (taken) throw nameTaken(entry, taken);
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
      const result = await this.#pipeline.store.write(
        this.#pipeline.transaction({ type: "create", key, object: document }, effects, guards),
      );
      if (result.ok) return { document: document.document, revision: result.revisions[0] ?? 0, created: true };
      if (result.why === "exists")
        throw nameTaken(entry, (await this.#pipeline.store.get(key, { type: "consistent" })) ?? { key });
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
    const stored = await this.#pipeline.store.get(key, { type: "consistent" });
    return stored
      ? namespaceTerminating(entry.facts, name, namespace)
      : notFound({ group: "", resource: "namespaces" }, namespace);
  }
}

/** Whoever makes an object of a name that is going should know that waiting helps. */
function nameTaken({ facts }: ResourceEntry, { key, document }: Pick<StoredObject, "key"> & Partial<StoredObject>) {
  const error = alreadyExists(facts, key.name);
  const { metadata } = JSON.parse(document ?? '{"metadata":{}}') as DynamicObject;
  if (metadata.deletionTimestamp) error.status.message = `object is being deleted: ${error.status.message}`;
  return error;
}

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
