/** Rows of the tables `object` and `change` as the store's own types. */

import type { Change, Key, NewDocument, StoredObject } from "../port.ts";
import type { Accepted } from "./decide.ts";

export const OBJECT_COLUMNS = "tenant, resource, namespace, name, uid, revision, document, labels, fields";
export const CHANGE_COLUMNS = `${OBJECT_COLUMNS}, kind, labels_before, fields_before`;

export interface ObjectRow {
  tenant: number;
  resource: string;
  namespace: string;
  name: string;
  uid: string;
  revision: number;
  document: string;
  labels: string;
  fields: string;
}

export interface ChangeRow extends ObjectRow {
  kind: number;
  labels_before: string | null;
  fields_before: string | null;
}

type KnownRow = Omit<ChangeRow, "document" | "labels" | "fields">;
type Strings = Readonly<Record<string, string>>;

const KNOWN_MAX = 20_000;
const known = new Map<string, Strings>();

/** Equal label sets are one object in memory: the pods of a Deployment carry the same. Bounded; the oldest is forgotten. */
function shared(text: string): Strings {
  const found = known.get(text);
  if (found) return found;
  const value = Object.freeze(JSON.parse(text) as Record<string, string>);
  if (known.size >= KNOWN_MAX) for (const oldest of known.keys()) if (known.delete(oldest)) break;
  known.set(text, value);
  return value;
}

const words = new Map<string, string>();

/** A resource or namespace: the same few texts come with every row. Bounded. */
function word(text: string): string {
  const found = words.get(text);
  if (found !== undefined) return found;
  if (words.size >= KNOWN_MAX) words.clear();
  words.set(text, text);
  return text;
}

/** What the key has as well is the key's own text. */
function fieldsOf({ name, namespace }: Key, fields: Record<string, string>): Strings {
  if (fields["metadata.name"] === name) fields["metadata.name"] = name;
  if (fields["metadata.namespace"] === namespace) fields["metadata.namespace"] = namespace;
  return fields;
}

const keyOf = (row: Key): Key => ({
  tenant: row.tenant,
  resource: word(row.resource),
  namespace: word(row.namespace),
  name: row.name,
});

export function objectOf(row: ObjectRow): StoredObject {
  const { uid, revision, document } = row;
  const key = keyOf(row);
  const fields = fieldsOf(key, JSON.parse(row.fields) as Record<string, string>);
  return { key, uid, revision, document, labels: shared(row.labels), fields };
}

/** The column `kind`, by number. */
export const KINDS = ["added", "modified", "deleted"] as const;

export const changeOf = (row: ChangeRow): Change => changeTo(row, objectOf(row));

/** The change of an object that need not be read, since it is what was written. */
export function knownChangeOf(row: KnownRow, written: NewDocument): Change {
  const { uid, revision } = row;
  const key = keyOf(row);
  const { document, labels, fields } = written;
  const object = {
    key,
    uid,
    revision,
    document,
    labels: shared(JSON.stringify(labels)),
    fields: fieldsOf(key, fields),
  };
  return changeTo(row, object);
}

/** A change that was committed here, without the state before, which the reader has. */
export function committedChange({ operation, revision }: Accepted): Change {
  const { uid, document, labels, fields } = operation.object;
  const { tenant, resource, namespace } = operation.key;
  // A name out of a URL would keep the whole URL in memory.
  const own = fields["metadata.name"];
  const name = own === operation.key.name ? own : operation.key.name;
  const key = keyOf({ tenant, resource, namespace, name });
  const object = {
    key,
    uid,
    revision,
    document,
    labels: shared(JSON.stringify(labels)),
    fields: fieldsOf(key, fields),
  };
  return { type: TYPES[operation.type], revision, object };
}

const TYPES = { create: "added", update: "modified", delete: "deleted" } as const;

function changeTo(row: KnownRow, object: StoredObject): Change {
  const type = KINDS[row.kind];
  if (type === undefined) throw new Error(`change ${row.revision} has the unknown kind ${row.kind}`);
  const change: Change = { type, revision: row.revision, object };
  if (row.labels_before !== null && row.fields_before !== null)
    change.previous = { labels: shared(row.labels_before), fields: JSON.parse(row.fields_before) };
  return change;
}
