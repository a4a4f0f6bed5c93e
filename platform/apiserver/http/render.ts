/** Objects as the client asked to see them: whole, as metadata only, or as rows of a table. */
import type { StoredObject } from "#platform/store/port.ts";
import type { DynamicObject, ListMeta } from "#sdk/api/object.ts";
import { apiVersionOf, TENANT_ANNOTATION } from "#sdk/api/object.ts";
import { internal } from "#sdk/api/status.ts";
import { encodeMessage, envelope, listMessage } from "../protobuf/encode.ts";
import { decode, textOf, withAnnotation } from "../registry/document.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
import { type IncludeObject, renderTable } from "../table/table.ts";
import type { Accepted } from "./negotiate.ts";

export type Rendered = Pick<StoredObject, "document" | "revision">;

export interface RenderRequest {
  entry: ResourceEntry;
  accepted: Accepted;
  /** "None", "Metadata" (default) or "Object": what a table row carries. */
  includeObject: string;
  now: number;
  /** Name of the tenant that an object read through the wildcard is marked with. */
  tenantName(object: Rendered): string | undefined;
}

function marked(object: DynamicObject, tenant: string | undefined): DynamicObject {
  if (tenant !== undefined)
    object.metadata.annotations = { ...object.metadata.annotations, [TENANT_ANNOTATION]: tenant };
  return object;
}

function versioned(r: RenderRequest, stored: Rendered): DynamicObject {
  const object = decode(stored);
  return marked(r.entry.strategy.storage?.fromStorage(object) ?? object, r.tenantName(stored));
}

/** The object reads as it is stored, but for its revision. */
const isPlain = (r: RenderRequest, stored: Rendered): boolean =>
  !r.entry.strategy.storage && r.tenantName(stored) === undefined;

/** All who ask in this way get the same bytes for the object: in their tenant (""), or through the wildcard ("*"). */
export function sharedWith(r: RenderRequest, stored: Rendered): "" | "*" | undefined {
  const { encoding, shape } = r.accepted;
  if (encoding !== "json" || shape !== "object" || r.entry.strategy.storage) return undefined;
  return r.tenantName(stored) === undefined ? "" : "*";
}

/** The JSON text of the object in its own kind. Made anew each time: it is the document with the revision, and the tenant, put in. */
export function objectText(r: RenderRequest, stored: Rendered): string {
  if (r.entry.strategy.storage) return JSON.stringify(versioned(r, stored));
  const tenant = r.tenantName(stored);
  const text = textOf(stored);
  return tenant === undefined ? text : withAnnotation(text, TENANT_ANNOTATION, tenant);
}

const messagesOf = new WeakMap<Rendered, Buffer>();

/** The object's protobuf message, made once like its text. */
function objectMessage(r: RenderRequest, stored: Rendered): Buffer {
  if (r.accepted.shape === "metadata") {
    const partial = metadataOnly(versioned(r, stored), r.accepted.version);
    return messageFor(partial.apiVersion ?? "", partial.kind ?? "", partial);
  }
  const plain = isPlain(r, stored);
  const known = plain ? messagesOf.get(stored) : undefined;
  if (known) return known;
  const { kind } = r.entry.facts;
  const message = messageFor(apiVersionOf(r.entry.facts), kind, versioned(r, stored));
  if (plain) messagesOf.set(stored, message);
  return message;
}

function messageFor(apiVersion: string, kind: string, object: object): Buffer {
  const message = encodeMessage(apiVersion, kind, object);
  if (!message) throw internal(`${kind} of ${apiVersion} has no protobuf form`);
  return message;
}

/** kind and apiVersion that the answer's envelope names. */
const typeOf = ({ entry, accepted }: RenderRequest): { kind: string; apiVersion: string } =>
  accepted.shape === "metadata"
    ? { kind: "PartialObjectMetadata", apiVersion: `meta.k8s.io/${accepted.version}` }
    : { kind: entry.facts.kind, apiVersion: apiVersionOf(entry.facts) };

const metadataOnly = (object: DynamicObject, version: string): DynamicObject => ({
  kind: "PartialObjectMetadata",
  apiVersion: `meta.k8s.io/${version}`,
  metadata: object.metadata,
});

/** Rows for objects that are in the version that is asked for. */
export function tableOf(r: RenderRequest, objects: readonly DynamicObject[], metadata: ListMeta, columns: boolean) {
  const { group, version, resource } = r.entry.facts;
  const rendered = renderTable({
    resource: { group, version, resource },
    objects,
    metadata,
    includeObject: r.includeObject as IncludeObject,
    noHeaders: !columns,
    ...(r.entry.own ? { printer: r.entry.own.printer } : {}),
    now: new Date(r.now),
  });
  return { ...rendered, apiVersion: `meta.k8s.io/${r.accepted.version}` };
}

function table(r: RenderRequest, objects: readonly Rendered[], metadata: ListMeta, columns: boolean): string {
  const shown = objects.map((o) => versioned(r, o));
  return JSON.stringify(tableOf(r, shown, metadata, columns));
}

export function renderObject(r: RenderRequest, stored: Rendered, columns = true): string | Buffer {
  if (r.accepted.encoding === "protobuf") {
    const { apiVersion, kind } = typeOf(r);
    return envelope(apiVersion, kind, objectMessage(r, stored));
  }
  if (r.accepted.shape === "object") return objectText(r, stored);
  if (r.accepted.shape === "metadata") return JSON.stringify(metadataOnly(versioned(r, stored), r.accepted.version));
  return table(r, [stored], { resourceVersion: String(stored.revision) }, columns);
}

export function renderList(r: RenderRequest, objects: readonly Rendered[], metadata: ListMeta): string | Buffer {
  if (r.accepted.encoding === "protobuf") {
    const { apiVersion, kind } = typeOf(r);
    const items = objects.map((o) => objectMessage(r, o));
    return envelope(apiVersion, `${kind}List`, listMessage(metadata, items));
  }
  if (r.accepted.shape === "table") return table(r, objects, metadata, true);
  const { group, version, kind } = r.entry.facts;
  const meta = JSON.stringify(metadata);
  if (r.accepted.shape === "metadata") {
    const items = objects.map((o) => JSON.stringify(metadataOnly(versioned(r, o), r.accepted.version)));
    return `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/${r.accepted.version}","metadata":${meta},"items":[${items.join(",")}]}`;
  }
  // Items of a list don't repeat kind and apiVersion, which are the first fields of every text.
  const items = objects.map((o) => objectText(r, o).replace(/^\{"kind":"[^"]*","apiVersion":"[^"]*",/, "{"));
  return `{"kind":"${kind}List","apiVersion":"${apiVersionOf({ group, version })}","metadata":${meta},"items":[${items.join(",")}]}`;
}
