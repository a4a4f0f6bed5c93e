/** Bodies and patches, made into objects of a kind. */
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import { badRequest, invalid, StatusError, unsupportedMediaType } from "#sdk/api/status.ts";
import { invalidValue } from "../registry/causes.ts";
import { type BodyDecoder, type Patcher, Undecodable } from "../registry/ports.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
import { parseApplied } from "../types.ts";
import type { Exchange } from "./exchange.ts";
import * as options from "./options.ts";

export type { BodyDecoder, Patcher } from "../registry/ports.ts";

/** A function from the present object to the wanted one; the patch is parsed once. */
export function patchProducer(
  { decoder, patcher }: { decoder: BodyDecoder; patcher: Patcher },
  entry: Pick<ResourceEntry, "facts">,
  type: string,
  text: string,
  validation: options.FieldValidation,
  exchange: Exchange,
  kind: { group: string; version: string; kind: string } = entry.facts,
): (old: DynamicObject | undefined) => DynamicObject {
  const gvk = { group: kind.group, version: kind.version, kind: kind.kind };
  const { context } = exchange;
  if (type === APPLY) return applyProducer({ decoder, patcher }, gvk, text, validation, exchange);
  const patch = parsePatch(text);
  return (old) => {
    const document = old as unknown as JsonObject;
    const patched =
      type === JSON_PATCH
        ? patcher.json(document, patch)
        : type === MERGE_PATCH
          ? patcher.merge(document, asObject(patch))
          : patcher.strategic(gvk, document, asObject(patch));
    try {
      return decoder.check(gvk, patched, validation, context.warn);
    } catch (error) {
      if (!(error instanceof Undecodable)) throw error;
      // What a patch makes of an object is judged like an invalid object, of no kind in particular.
      const cause = invalidValue("patch", JSON.stringify(patched), error.why);
      throw invalid({ group: "", kind: "" }, "", [cause]);
    }
  };
}

/** Apply judges the configuration by itself first; strictness is about its text alone (KEP-555, KEP-2885). */
function applyProducer(
  { decoder, patcher }: { decoder: BodyDecoder; patcher: Patcher },
  gvk: { group: string; version: string; kind: string },
  text: string,
  validation: options.FieldValidation,
  { info, context, query }: Exchange,
): (old: DynamicObject | undefined) => DynamicObject {
  const { applied, duplicates } = parseApplied(text);
  const object = asObject(applied) as unknown as DynamicObject;
  object.metadata = asObject(object.metadata ?? {});
  if (object.metadata.managedFields?.length) throw badRequest("metadata.managedFields must be nil");
  object.metadata.name ??= info.name;
  if (object.metadata.name !== info.name) {
    throw badRequest(
      `the name of the object (${object.metadata.name}) does not match the name on the URL (${info.name})`,
    );
  }
  const o = {
    manager: query.get("fieldManager") ?? "",
    force: options.flag(query, "force"),
    subresource: info.subresource,
    now: context.now,
  };
  return (old) => {
    const merged = patcher.apply(gvk, old, structuredClone(object), o);
    if (duplicates && validation === "Strict")
      throw badRequest(`error strict decoding YAML: error converting YAML to JSON: ${duplicates}`);
    if (duplicates && validation === "Warn") context.warn(`error converting YAML to JSON: ${duplicates}`);
    try {
      return decoder.check(gvk, merged as unknown as JsonObject, "Ignore", context.warn);
    } catch (error) {
      if (!(error instanceof Undecodable)) throw error;
      const kind = `${gvk.group}/${gvk.version}, Kind=${gvk.kind}`;
      const name = `${object.metadata.namespace ?? ""}/${info.name}; ${kind}`;
      const from = error.why.startsWith("illegal base64 data") ? "error decoding from json: " : "";
      // Types that read themselves are not told where they stand.
      const told = error.why.replace(/Go struct field \S+ of type/, "Go value of type");
      const why = `unable to convert unstructured object to ${kind}: ${from}${told}`;
      throw new StatusError(500, "", `failed to convert new object (${name}) to proper version: ${why}`);
    }
  };
}

const JSON_PATCH = "application/json-patch+json";
const MERGE_PATCH = "application/merge-patch+json";
export const APPLY = "application/apply-patch+yaml";
export const PATCH_TYPES = new Set([JSON_PATCH, MERGE_PATCH, "application/strategic-merge-patch+json", APPLY]);

export const wrongPatchType = () => {
  const error = unsupportedMediaType("415: Unsupported Media Type");
  error.status.details = {};
  return error;
};

function parsePatch(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`error decoding patch: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function asObject(value: unknown): JsonObject {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw badRequest("json: cannot unmarshal into Go value of type map[string]interface {}");
  }
  return value as JsonObject;
}
