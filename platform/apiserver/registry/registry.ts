/**
 * The generic registry: every kind is read and written here, by the rules of apiserver's registry/generic. It names no kind: what differs
 * is in the kind's strategy. Creation, updating and removal have a file each; the steps they share are in pipeline.ts.
 */
import type { Store, StoredObject } from "#platform/store/port.ts";
import type { DynamicObject, GroupVersionKind } from "#sdk/api/object.ts";
import { internal, notFound } from "#sdk/api/status.ts";
import { type Catalog, groupResource } from "./catalog.ts";
import { Creation } from "./creation.ts";
import type { Written } from "./document.ts";
import { Pipeline, type RegistryParts, type ReviewRequest, type WriteOptions } from "./pipeline.ts";
import { Removal, type Removed } from "./removal.ts";
import type { DeleteOptions, RegistryAccess, RequestContext, ResourceEntry } from "./strategy.ts";
import { type UpdateRequest, Updating } from "./updating.ts";

export class Registry implements RegistryAccess {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly #pipeline: Pipeline;
  readonly #creation: Creation;
  readonly #updating: Updating;
  readonly #removal: Removal;

  constructor(parts: RegistryParts) {
    this.store = parts.store;
    this.catalog = parts.catalog;
    this.#pipeline = new Pipeline(parts);
    this.#creation = new Creation(this.#pipeline);
    this.#updating = new Updating(this.#pipeline, this.#creation);
    this.#removal = new Removal(this.#pipeline);
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
    const stored = await this.store.get(this.#pipeline.key(context, entry, namespace, name), freshness);
    if (!stored) throw notFound(entry.facts, name);
    return stored;
  }

  /** In the entry's own version. */
  toVersion(
    context: RequestContext,
    entry: ResourceEntry,
    stored: Pick<StoredObject, "document" | "revision">,
  ): Promise<DynamicObject> {
    return this.#pipeline.toVersion(context, entry, stored);
  }

  create(
    context: RequestContext,
    entry: ResourceEntry,
    namespace: string,
    sent: DynamicObject,
    options: WriteOptions,
  ): Promise<Written> {
    return this.#creation.create(context, entry, namespace, sent, options);
  }

  update(
    context: RequestContext,
    entry: ResourceEntry,
    request: UpdateRequest,
    options: WriteOptions,
  ): Promise<Written> {
    return this.#updating.update(context, entry, request, options);
  }

  delete(
    context: RequestContext,
    entry: ResourceEntry,
    namespace: string,
    name: string,
    options: DeleteOptions,
  ): Promise<Removed> {
    return this.#removal.delete(context, entry, namespace, name, options);
  }

  async read(
    context: RequestContext,
    group: string,
    resource: string,
    namespace: string,
    name: string,
  ): Promise<DynamicObject> {
    const entry = this.#entry(context, group, resource);
    return await this.toVersion(context, entry, await this.get(context, entry, namespace, name));
  }

  async modify(context: RequestContext, request: Parameters<RegistryAccess["modify"]>[1]): Promise<DynamicObject> {
    const entry = this.#entry(context, request.group, request.resource);
    const produce = async (object: DynamicObject) => {
      await request.change(object);
      return object;
    };
    const { namespace, name, subresource, dryRun, fieldManager, raw = false, reviewed = false, managedAs } = request;
    const written = await this.update(
      context,
      entry,
      { namespace, name, subresource, produce, retries: true, raw, reviewed, managedAs },
      { dryRun, fieldManager },
    );
    return await this.toVersion(context, entry, written);
  }

  async admit(context: RequestContext, request: Parameters<RegistryAccess["admit"]>[1]): Promise<DynamicObject> {
    const { group, resource, ...review } = request;
    const entry = this.#entry(context, group, resource);
    return await this.validateAction(context, entry, { operation: "UPDATE", ...review });
  }

  async remove(context: RequestContext, request: Parameters<RegistryAccess["remove"]>[1]): Promise<void> {
    await this.delete(
      context,
      this.#entry(context, request.group, request.resource),
      request.namespace,
      request.name,
      request.options,
    );
  }

  #entry(context: RequestContext, group: string, resource: string): ResourceEntry {
    const entry = this.catalog.byName(group, resource) ?? this.catalog.own?.stored(context.tenant, group, resource);
    if (!entry) throw internal(`resource ${groupResource(group, resource)} is not served`);
    return entry;
  }

  /** A document of its own kind that is posted (a review, a token's request) says who set its fields, too. */
  manageAction(
    entry: ResourceEntry,
    kind: GroupVersionKind,
    body: DynamicObject,
    subresource: string,
    options: WriteOptions,
  ): DynamicObject {
    return this.#pipeline.manage(entry, undefined, body, subresource, options, kind);
  }

  /** Admission of what isn't a write of the object itself (CONNECT to a pod, a binding): what was sent, as it is to go on. */
  async validateAction<A extends ReviewRequest>(context: RequestContext, entry: ResourceEntry, a: A) {
    const object = (await this.#pipeline.admit(context, entry, a)) ?? a.object;
    await this.#pipeline.validateAdmission(context, entry, { ...a, ...(object ? { object } : {}) });
    return object as A["object"];
  }
}
