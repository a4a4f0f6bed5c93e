/** Bodies, defaults, patches and field ownership by the API's facts: fills the ports that http and registry declare. */
import { parseDocument, type YAMLParseError } from "yaml";
import { DecodeError, decode } from "#platform/rules/schema/decode.ts";
import { applyDefaults, fillZeros } from "#platform/rules/schema/fill.ts";
import { DEPTH_MAX, duplicateField, inTextOrder, scanJson, unknownField } from "#platform/rules/schema/scan.ts";
import { definitionOf, typeOf, types } from "#sdk/api/facts.ts";
import {
  apiVersionOf,
  type DynamicObject,
  type GroupVersionKind,
  type Json,
  type JsonObject,
} from "#sdk/api/object.ts";
import { badRequest, internal } from "#sdk/api/status.ts";
import { jsonPatch, parseJsonPatch } from "./apply/json-patch.ts";
import { mergePatch } from "./apply/merge-patch.ts";
import { applyPatch, trackUpdate } from "./apply/server-side-apply.ts";
import { strategicMergePatch } from "./apply/strategic-merge-patch.ts";
import { type ApplyType, DEDUCED, typeCompiler } from "./apply/types.ts";
import { RESETS } from "./apply/updater.ts";
import type { FieldValidation } from "./http/options.ts";
import type { BodyDecoder, Patcher } from "./http/patches.ts";
import { type TypeRules, Undecodable } from "./registry/ports.ts";

export const compile = typeCompiler(types());

function applyTypeOf(gvk: GroupVersionKind): ApplyType {
  const schema = typeOf(gvk);
  return schema ? compile(schema) : DEDUCED;
}

function definition(gvk: GroupVersionKind): string {
  const name = definitionOf(gvk);
  if (name === undefined) throw internal(`no type is known for ${gvk.kind}.${gvk.version}.${gvk.group}`);
  return name;
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export interface Parsed {
  value: unknown;
  /** All that strict decoding refuses, when these fields are unknown. */
  strict(unknown: readonly string[]): string[];
}

/** Go's words for a text that ends too early or goes wrong. */
function jsonError(error: unknown, text: string): string {
  const message = error instanceof Error ? error.message : "";
  if (text.trim() === "" || /end of JSON input|Unterminated/.test(message)) return "unexpected end of JSON input";
  const at = /position (\d+)/.exec(message)?.[1];
  const character = at === undefined ? text.trim()[0] : text[Number(at)];
  return character === undefined
    ? "unexpected end of JSON input"
    : `invalid character '${character}' looking for beginning of value`;
}

const unrecognized = (kind: string, why: string, text: string) =>
  badRequest(
    `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: ${why} (${shown(text)})`,
  );

/** Upstream prints the first bytes of what it could not read, in hex where they are not a plain object's. */
function shown(text: string): string {
  if (text === "") return "<empty>";
  return text.startsWith("{") ? text.slice(0, 1024) : Buffer.from(text).subarray(0, 1024).toString("hex");
}

/** Throws StatusError 400 in upstream's words. */
export function parse(text: string, encoding: "json" | "yaml", kind: string): Parsed {
  if (encoding === "json" || text.trimStart().startsWith("{")) {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw unrecognized(kind, jsonError(error, text), text);
    }
    const { duplicates, depth } = scanJson(text);
    if (depth > DEPTH_MAX) throw badRequest(`exceeded max depth of ${DEPTH_MAX}`);
    return { value, strict: (unknown) => strictlyJson(text, duplicates, unknown) };
  }
  const document = parseDocument(text, { uniqueKeys: true });
  const twice = yamlDuplicates(text, document.errors);
  const failure = document.errors.find((e) => e.code !== "DUPLICATE_KEY");
  if (failure) throw badRequest(`error converting YAML to JSON: yaml: ${failure.message.split("\n")[0]}`);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // Aliases that would grow beyond measure, or that nothing anchors.
    throw badRequest(`error converting YAML to JSON: yaml: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { value, strict: (unknown) => [...(twice ? [twice] : []), ...unknown.map(unknownField)] };
}

const strictlyJson = (text: string, duplicates: readonly string[], unknown: readonly string[]): string[] =>
  duplicates.length > 0 && unknown.length > 0
    ? inTextOrder(text, duplicates, unknown)
    : [...duplicates.map(duplicateField), ...unknown.map(unknownField)];

/** Keys that stand twice, in the words of Go's YAML decoder; undefined where none does. */
export function yamlDuplicates(text: string, errors: readonly YAMLParseError[]): string | undefined {
  const lines = errors
    .filter(({ code }) => code === "DUPLICATE_KEY")
    .map(({ pos, linePos }) => {
      const key = /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^:\s]+))/.exec(text.slice(pos[0])) ?? [];
      return `  line ${linePos?.[0].line ?? 0}: key ${JSON.stringify(key[1] ?? key[2] ?? key[3] ?? "")} already set in map`;
    });
  return lines.length > 0 ? `yaml: unmarshal errors:\n${lines.join("\n")}` : undefined;
}

/** Checks kind and version, then decodes by the schema. What strict decoding refuses is refused, told or ignored. */
function decodeObject(
  gvk: GroupVersionKind,
  value: unknown,
  strict: Parsed["strict"],
  validation: FieldValidation,
  warn: (text: string) => void,
  text: string,
): DynamicObject {
  if (!isObject(value)) {
    const type = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
    const target =
      'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';
    throw unrecognized(gvk.kind, `json: cannot unmarshal ${type} into Go value of type ${target}`, text);
  }
  const wanted = apiVersionOf(gvk);
  const kind = value.kind === undefined || value.kind === "" ? gvk.kind : String(value.kind);
  const apiVersion = value.apiVersion === undefined || value.apiVersion === "" ? wanted : String(value.apiVersion);
  const version = apiVersion.slice(apiVersion.lastIndexOf("/") + 1);
  const refused = (why: string) => new Undecodable({ kind, version }, gvk.kind, why);
  if (kind !== gvk.kind || apiVersion !== wanted) {
    const known = definitionOf({ ...groupVersion(apiVersion), kind }) !== undefined;
    if (!known)
      throw refused(
        `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`,
      );
    if (kind !== gvk.kind)
      throw refused(`converting (${goName(apiVersion, kind)}) to (${goName(wanted, gvk.kind)}): unknown conversion`);
    throw badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${wanted})`);
  }
  try {
    const { object, unknown } = decode(value, definition(gvk));
    report(strict(unknown), validation, refused, warn);
    object.kind = gvk.kind;
    object.apiVersion = wanted;
    object.metadata ??= {};
    return object as unknown as DynamicObject;
  } catch (error) {
    if (error instanceof DecodeError) throw refused(error.message);
    throw error;
  }
}

/** Refuses, tells or ignores what strict decoding found. */
export function report(
  messages: string[],
  validation: FieldValidation,
  refused: (why: string) => Error,
  warn: (text: string) => void,
): void {
  if (messages.length === 0 || validation === "Ignore") return;
  if (validation === "Strict") throw refused(`strict decoding error: ${messages.join(", ")}`);
  for (const message of messages) warn(message);
}

function groupVersion(apiVersion: string): { group: string; version: string } {
  const at = apiVersion.indexOf("/");
  return at < 0
    ? { group: "", version: apiVersion }
    : { group: apiVersion.slice(0, at), version: apiVersion.slice(at + 1) };
}

const goName = (apiVersion: string, kind: string) => `${groupVersion(apiVersion).version}.${kind}`;

/** An applied configuration, as it was sent: what is wrong with its fields is apply's to say. Throws StatusError 400. */
export function parseApplied(text: string): { applied: unknown; duplicates: string | undefined } {
  const document = parseDocument(text, { uniqueKeys: true });
  const failure = document.errors.find((e) => e.code !== "DUPLICATE_KEY");
  const failed = (why: string) => badRequest(`error decoding YAML: error converting YAML to JSON: yaml: ${why}`);
  if (failure) throw failed(failure.message.split("\n")[0] ?? "");
  try {
    const applied: unknown = document.toJS({ maxAliasCount: 100 });
    return { applied, duplicates: yamlDuplicates(text, document.errors) };
  } catch (error) {
    throw failed(error instanceof Error ? error.message : String(error));
  }
}

/** Of what is no text: nothing can stand twice in it. */
export const unknownOnly: Parsed["strict"] = (unknown) => unknown.map(unknownField);

export const decoder: BodyDecoder = {
  decode(gvk, text, encoding, validation, warn) {
    const { value, strict } = parse(text, encoding, gvk.kind);
    return decodeObject(gvk, value, strict, validation, warn, text);
  },
  check: (gvk, value, validation, warn) => decodeObject(gvk, value, unknownOnly, validation, warn, ""),
};

/** Kinds of which an endpoint writes more than the usual itself. */
const RESET: Readonly<Record<string, Readonly<Record<string, string[][]>>>> = {
  CertificateSigningRequest: {
    "": [["spec"], ["status"]],
    status: [["spec"], ["status", "conditions"]],
    approval: [["spec"], ["status", "certificate"]],
  },
};

/** What the endpoint itself writes is not owned by who calls it. */
const resetFields = (gvk: GroupVersionKind, subresource: string): string[][] => {
  const own = RESET[gvk.kind]?.[subresource];
  if (own) return own;
  if (subresource === "status") return RESETS.spec;
  const hasStatus = typeOf(gvk)?.properties?.status !== undefined;
  return subresource === "" && hasStatus ? RESETS.status : RESETS.nothing;
};

const ownership = (gvk: GroupVersionKind, o: { manager: string; subresource: string; time: Date }) => ({
  ...o,
  apiVersion: apiVersionOf(gvk),
  kind: gvk.kind,
  type: applyTypeOf(gvk),
  resetFields: resetFields(gvk, o.subresource),
});

export const typeRules: TypeRules = {
  applyDefaults: (gvk, object) => applyDefaults(object as unknown as JsonObject, definition(gvk)),
  fillZeros: (gvk, object) => fillZeros(object as unknown as JsonObject, definition(gvk)),
  manage(gvk, old, next, { manager, subresource, now }) {
    const managedFields = trackUpdate(old, next, ownership(gvk, { manager, subresource, time: new Date(now) }));
    const { managedFields: _, ...metadata } = next.metadata;
    return { ...next, metadata: { ...metadata, ...(managedFields ? { managedFields } : {}) } };
  },
};

export const patcher: Patcher = {
  json: (document, patch) => jsonPatch(document, parseJsonPatch(patch)),
  merge: (document, patch) => mergePatch(document as Json, patch as Json) as JsonObject,
  strategic: (gvk, document, patch) => strategicMergePatch(applyTypeOf(gvk), document, patch),
  apply: (gvk, live, applied, o) =>
    applyPatch(live, applied, {
      ...ownership(gvk, { manager: o.manager, subresource: o.subresource, time: new Date(o.now) }),
      force: o.force,
    }),
};
