/** The compact form of protobuf messages, and the generated data. */
import { readFileSync } from "node:fs";
import { definitionOf } from "#sdk/api/facts.ts";

/** JSON name ("" for an embedded struct), type (a scalar, a message, or "map:" and the values' type; keys are strings), 1 when repeated. */
export type FieldCode = [name: string, type: string, repeated?: 1];

/** Message → field number → field. */
export type Messages = Record<string, Record<string, FieldCode>>;

let loaded: Messages | undefined;

/** Read on first use. */
export function messages(): Readonly<Messages> {
  loaded ??= JSON.parse(readFileSync(new URL("./messages.generated.json", import.meta.url), "utf8")) as Messages;
  return loaded;
}

const META = "k8s.io.apimachinery.pkg.apis.meta.v1";

const KNOWN_MAX = 2_000;
/** By version and kind: every answer asks. */
const known = new Map<string, Map<string, string | undefined>>();

/** The message of a kind; undefined for kinds that have no protobuf form (our own, custom resources). */
export function messageOf(apiVersion: string, kind: string): string | undefined {
  let kinds = known.get(apiVersion);
  if (!kinds || kinds.size >= KNOWN_MAX) {
    if (known.size >= KNOWN_MAX) known.clear();
    kinds = new Map();
    known.set(apiVersion, kinds);
  }
  if (!kinds.has(kind)) kinds.set(kind, findMessage(apiVersion, kind));
  return kinds.get(kind);
}

function findMessage(apiVersion: string, kind: string): string | undefined {
  if (kind === "DeleteOptions" || kind === "Status" || kind.startsWith("PartialObjectMetadata"))
    return messages()[`${META}.${kind}`] ? `${META}.${kind}` : undefined;
  const at = apiVersion.indexOf("/");
  const group = at < 0 ? "" : apiVersion.slice(0, at);
  const definition = definitionOf({ group, version: apiVersion.slice(at + 1), kind });
  if (definition === undefined) return undefined;
  const name = definition.replace(/^io\.k8s\./, "k8s.io.").replace(/^(k8s\.io\.\w+)-(\w+)/, "$1_$2");
  return messages()[name] ? name : undefined;
}
