/** The verbs on resources: reads the request, asks the registry, writes the answer. */
import { parse as parseYaml } from "yaml";
import type { Store } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import { apiVersionOf, type DynamicObject, type JsonObject } from "#sdk/api/object.ts";
import { badRequest, methodNotSupported, type Status, StatusError } from "#sdk/api/status.ts";
import { decodeProtobuf } from "../protobuf/decode.ts";
import { encodeProtobuf } from "../protobuf/encode.ts";
import { messageOf } from "../protobuf/messages.ts";
import { inVersion, type Versioned } from "../registry/conversion.ts";
import type { Written } from "../registry/document.ts";
import type { Registry } from "../registry/registry.ts";
import type { ActionStrategy, ResourceEntry } from "../registry/strategy.ts";
import { notFoundResource } from "../registry/updating.ts";
import { readBody, readText } from "./body.ts";
import { answer, type Exchange } from "./exchange.ts";
import { pageOf } from "./list.ts";
import { type Accepted, bodyEncoding, mediaType, negotiate } from "./negotiate.ts";
import * as options from "./options.ts";
import {
  APPLY,
  asObject,
  type BodyDecoder,
  PATCH_TYPES,
  type Patcher,
  patchProducer,
  wrongPatchType,
} from "./patches.ts";
import { type RenderRequest, renderList, renderObject } from "./render.ts";
import { isNetworkView, networkView, sharedView } from "./shared.ts";
import { serveWatch } from "./watch.ts";

export interface ResourceParts {
  registry: Registry;
  store: Store;
  decoder: BodyDecoder;
  patcher: Patcher;
  tenants: TenantDirectory;
}

const gvkOf = (entry: ResourceEntry) => ({
  group: entry.facts.group,
  version: entry.facts.version,
  kind: entry.facts.kind,
});

const hasMessage = (entry: ResourceEntry) => messageOf(apiVersionOf(entry.facts), entry.facts.kind) !== undefined;

/** What is no stored object: a Status, an action's result. */
const encoded = (object: DynamicObject | Status, { encoding }: Accepted): string | Buffer =>
  (encoding === "protobuf" ? encodeProtobuf(object) : undefined) ?? JSON.stringify(object);

export class ResourceHandler {
  readonly #parts: ResourceParts;
  constructor(parts: ResourceParts) {
    this.#parts = parts;
  }

  async handle(exchange: Exchange, entry: ResourceEntry): Promise<void> {
    const { info } = exchange;
    const action = info.subresource === "" ? entry.strategy.ask : entry.strategy.actions[info.subresource];
    if (action) return await this.#action(exchange, entry, action);
    if (info.subresource !== "" && !entry.strategy.views[info.subresource]) throw notFoundResource();
    switch (info.verb) {
      case "get":
        return await this.#get(exchange, entry);
      case "list":
        return await this.#list(exchange, entry);
      case "watch":
        return await serveWatch(
          this.#parts.store,
          exchange,
          entry,
          this.#render(exchange, entry, this.#accept(exchange, entry)),
        );
      case "create":
        return await this.#create(exchange, entry);
      case "update":
        return await this.#update(exchange, entry);
      case "patch":
        return await this.#patch(exchange, entry);
      case "delete":
        return await this.#delete(exchange, entry);
      case "deletecollection":
        return await this.#deleteCollection(exchange, entry);
      default:
        throw methodNotSupported(entry.facts, info.verb);
    }
  }

  #accept(exchange: Exchange, entry: ResourceEntry): Accepted {
    return negotiate(exchange.request.headers.accept, ["object", "table", "metadata"], hasMessage(entry));
  }

  #render(exchange: Exchange, entry: ResourceEntry, accepted: Accepted): RenderRequest {
    const { tenants } = this.#parts;
    const wildcard = exchange.scope === "*";
    return {
      entry: viewOf(exchange, entry),
      accepted,
      ...(wildcard && entry.own ? { accepted: { ...accepted, shape: "metadata" } } : {}),
      includeObject: exchange.query.get("includeObject") || "Metadata",
      now: exchange.context.now,
      tenantName: (object) => {
        if (!wildcard || !("key" in object)) return undefined;
        const { tenant } = (object as unknown as { key: { tenant: number } }).key;
        return tenants.byId(tenant)?.name ?? String(tenant);
      },
    };
  }

  async #get(exchange: Exchange, entry: ResourceEntry): Promise<void> {
    const accepted = this.#accept(exchange, entry);
    const { info, context } = exchange;
    const version = exchange.query.get("resourceVersion") ?? "";
    const atLeast = version === "" ? undefined : options.parseResourceVersion(version);
    const stored = await this.#parts.registry.get(context, entry, info.namespace, info.name, atLeast);
    const [ready = stored] = await this.#ready(exchange, entry, accepted, [stored]);
    await answer(exchange, 200, renderObject(this.#render(exchange, entry, accepted), ready), accepted);
  }

  /** In the version asked for, where a webhook makes it; metadata alone is the same in all. */
  async #ready(exchange: Exchange, entry: ResourceEntry, accepted: Accepted, stored: readonly Versioned[]) {
    if (accepted.shape === "metadata" || exchange.scope === "*") return stored;
    return await inVersion(entry, exchange.scope, stored);
  }

  async #list(exchange: Exchange, entry: ResourceEntry): Promise<void> {
    const accepted = this.#accept(exchange, entry);
    const p = options.listParameters(exchange.query, entry, false);
    const { objects, metadata } = await pageOf(this.#parts.store, exchange, entry, p);
    await answer(
      exchange,
      200,
      renderList(
        this.#render(exchange, entry, accepted),
        await this.#ready(exchange, entry, accepted, objects),
        metadata,
      ),
      accepted,
    );
  }

  async #written(
    exchange: Exchange,
    entry: ResourceEntry,
    written: Written,
    accepted: Accepted,
    code: number,
  ): Promise<void> {
    const [ready = written] = await this.#ready(exchange, entry, accepted, [written]);
    await answer(exchange, code, renderObject(this.#render(exchange, entry, accepted), ready), accepted);
  }

  async #decode(
    exchange: Exchange,
    gvk: { group: string; version: string; kind: string },
    optionsKind: string,
    decoder = this.#parts.decoder,
  ): Promise<DynamicObject> {
    const encoding = bodyEncoding(exchange.request.headers["content-type"]);
    const validation = options.fieldValidation(exchange.query, optionsKind);
    const body = await readBody(exchange.request);
    const { warn } = exchange.context;
    // What a typed client's own code wrote has no unknown fields to be strict about.
    if (encoding === "protobuf") return decoder.check(gvk, decodeProtobuf(body), "Ignore", warn);
    return decoder.decode(gvk, body.toString("utf8"), encoding, validation, warn);
  }

  #writeOptions(exchange: Exchange, kind: string) {
    return {
      dryRun: options.dryRun(exchange.query.getAll("dryRun"), kind),
      fieldManager: options.fieldManager(exchange.query, exchange.request.headers["user-agent"], kind),
    };
  }

  async #create(exchange: Exchange, entry: ResourceEntry): Promise<void> {
    if (exchange.info.name !== "") throw methodNotSupported(entry.facts, "create");
    const accepted = this.#accept(exchange, entry);
    const writeOptions = this.#writeOptions(exchange, "CreateOptions");
    const object = await this.#decode(exchange, gvkOf(entry), "CreateOptions", entry.own?.decoder);
    const written = await this.#parts.registry.create(
      exchange.context,
      entry,
      exchange.info.namespace,
      object,
      writeOptions,
    );
    await this.#written(exchange, entry, written, accepted, 201);
  }

  async #update(exchange: Exchange, entry: ResourceEntry): Promise<void> {
    const accepted = this.#accept(exchange, entry);
    const { info, context } = exchange;
    const writeOptions = this.#writeOptions(exchange, "UpdateOptions");
    const object = await this.#decode(exchange, gvkOf(entry), "UpdateOptions", entry.own?.decoder);
    if (object.metadata.name && object.metadata.name !== info.name) {
      throw badRequest(
        `the name of the object (${object.metadata.name}) does not match the name on the URL (${info.name})`,
      );
    }
    const creates = entry.strategy.allowCreateOnUpdate && info.subresource === "";
    const written = await this.#parts.registry.update(
      context,
      entry,
      {
        namespace: info.namespace,
        name: info.name,
        subresource: info.subresource,
        produce: () => structuredClone(object),
        retries: !object.metadata.resourceVersion,
        ...(creates ? { createIfAbsent: () => structuredClone(object) } : {}),
      },
      writeOptions,
    );
    await this.#written(exchange, entry, written, accepted, written.created ? 201 : 200);
  }

  async #patch(exchange: Exchange, entry: ResourceEntry): Promise<void> {
    const type = mediaType(exchange.request.headers["content-type"]);
    const accepted = this.#accept(exchange, entry);
    const writeOptions = this.#writeOptions(exchange, "PatchOptions");
    if (!PATCH_TYPES.has(type)) throw wrongPatchType();
    const validation = options.fieldValidation(exchange.query, "PatchOptions");
    if (type === APPLY) options.checkApplyOptions(exchange.query);
    const text = await readText(exchange.request);
    const { info, context } = exchange;
    const produce = patchProducer(entry.own ?? this.#parts, entry, type, text, validation, exchange);
    const createIfAbsent = type === APPLY && info.subresource === "" ? () => produce(undefined) : undefined;
    const written = await this.#parts.registry.update(
      context,
      entry,
      {
        namespace: info.namespace,
        name: info.name,
        subresource: info.subresource,
        produce: (old) => produce(old),
        retries: true,
        ...(createIfAbsent ? { createIfAbsent } : {}),
      },
      { ...writeOptions, keepsManagedFields: type === APPLY },
    );
    await this.#written(exchange, entry, written, accepted, written.created ? 201 : 200);
  }

  async #delete(exchange: Exchange, entry: ResourceEntry): Promise<void> {
    if (exchange.info.subresource !== "") throw methodNotSupported(entry.facts, "delete");
    const accepted = this.#accept(exchange, entry);
    const { info, context } = exchange;
    const deleteOptions = options.deleteOptions(await this.#deleteBody(exchange), exchange.query);
    const { removed, written, uid } = await this.#parts.registry.delete(
      context,
      entry,
      info.namespace,
      info.name,
      deleteOptions,
    );
    const accepts = !removed && deleteOptions.orphanDependents === false ? 202 : 200;
    if (!removed || entry.strategy.returnsDeletedObject)
      return await this.#written(exchange, entry, written, accepted, accepts);
    const { group, resource } = entry.facts;
    const details = { name: info.name, ...(group ? { group } : {}), kind: resource, uid };
    const status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details };
    await answer(exchange, 200, encoded(status, accepted), accepted);
  }

  async #deleteBody(exchange: Exchange): Promise<JsonObject | undefined> {
    const body = await readBody(exchange.request);
    const text = body.toString("utf8");
    if (text.trim() === "") return undefined;
    const encoding = bodyEncoding(exchange.request.headers["content-type"]);
    if (encoding === "protobuf") return decodeProtobuf(body);
    try {
      return asObject(encoding === "yaml" ? parseYaml(text) : JSON.parse(text));
    } catch (error) {
      throw badRequest(`couldn't get version/kind; json parse error: ${error instanceof Error ? error.message : ""}`);
    }
  }

  async #deleteCollection(exchange: Exchange, entry: ResourceEntry): Promise<void> {
    const accepted = this.#accept(exchange, entry);
    const { context } = exchange;
    const p = options.listParameters(exchange.query, entry, false);
    const deleteOptions = options.deleteOptions(await this.#deleteBody(exchange), exchange.query);
    const { store, registry } = this.#parts;
    const { objects, metadata } = await pageOf(store, exchange, entry, { ...p, resourceVersion: "" });
    for (const { key } of objects) {
      await registry.delete(context, entry, key.namespace, key.name, deleteOptions).catch((error: unknown) => {
        if (!(error instanceof StatusError && error.code === 404)) throw error;
      });
    }
    const render = this.#render(exchange, entry, accepted);
    await answer(
      exchange,
      200,
      renderList(render, await this.#ready(exchange, entry, accepted, objects), {
        resourceVersion: metadata.resourceVersion,
      }),
      accepted,
    );
  }

  async #action(exchange: Exchange, entry: ResourceEntry, action: ActionStrategy): Promise<void> {
    const { info, context } = exchange;
    if (info.verb !== "get" && info.verb !== "create" && info.verb !== "update" && info.verb !== "patch") {
      throw methodNotSupported(entry.facts, info.verb);
    }
    const subresource = entry.facts.subresources.find((s) => s.name === info.subresource);
    const gvk = {
      group: subresource?.group ?? (subresource?.version ? "" : entry.facts.group),
      version: subresource?.version ?? entry.facts.version,
      kind: subresource?.kind ?? entry.facts.kind,
    };
    const protobuf = messageOf(apiVersionOf(gvk), gvk.kind) !== undefined;
    const accepted = negotiate(exchange.request.headers.accept, ["object"], protobuf);
    const writeOptions = this.#writeOptions(
      exchange,
      info.verb === "create" ? "CreateOptions" : info.verb === "patch" ? "PatchOptions" : "UpdateOptions",
    );
    const request = {
      context,
      registry: this.#parts.registry,
      namespace: info.namespace,
      name: info.name,
      verb: info.verb,
      ...writeOptions,
    } as const;
    let result: DynamicObject;
    if (info.verb === "get") result = await action.handle(request);
    else if (info.verb === "patch") {
      const type = mediaType(exchange.request.headers["content-type"]);
      if (!PATCH_TYPES.has(type)) throw wrongPatchType();
      if (type === APPLY) options.checkApplyOptions(exchange.query);
      const validation = options.fieldValidation(exchange.query, "PatchOptions");
      const produce = patchProducer(
        this.#parts,
        entry,
        type,
        await readText(exchange.request),
        validation,
        exchange,
        gvk,
      );
      result = await action.handle({ ...request, produce });
    } else {
      let body = await this.#decode(exchange, gvk, info.verb === "create" ? "CreateOptions" : "UpdateOptions");
      if (info.verb === "create") {
        const { namespace, name, subresource } = info;
        const review = { operation: "CREATE" as const, kind: gvk, subresource, namespace, dryRun: request.dryRun };
        const of = name || (body.metadata.name ?? "");
        if (subresource === "") wipeSystemFields(body);
        body = this.#parts.registry.manageAction(entry, gvk, body, subresource, writeOptions);
        body = await this.#parts.registry.validateAction(context, entry, { ...review, name: of, object: body });
      }
      result = await action.handle({ ...request, body });
    }
    await answer(exchange, action.code ?? (info.verb === "create" ? 201 : 200), encoded(result, accepted), accepted);
  }
}

/** What a client does not choose about what it posts. */
function wipeSystemFields({ metadata }: DynamicObject): void {
  for (const field of ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] as const)
    delete metadata[field];
}

function viewOf(exchange: Exchange, entry: ResourceEntry): ResourceEntry {
  if (exchange.shared) return sharedView(entry);
  return isNetworkView(exchange.user, exchange) ? networkView(entry) : entry;
}
