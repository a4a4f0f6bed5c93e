/** Bodies and patches, made into objects of a kind. */
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import { badRequest, invalid, unsupportedMediaType } from "#sdk/api/status.ts";
import { invalidValue } from "../registry/causes.ts";
import { type BodyDecoder, type Patcher, Undecodable } from "../registry/ports.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
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
  const { info, context } = exchange;
  if (type === APPLY) {
    const applied = decoder.decode(gvk, text, "yaml", validation, context.warn);
    if (applied.metadata.managedFields?.length) throw badRequest("metadata.managedFields must be nil");
    applied.metadata.name ??= info.name;
    if (applied.metadata.name !== info.name) {
      throw badRequest(
        `the name of the object (${applied.metadata.name}) does not match the name on the URL (${info.name})`,
      );
    }
    if (entry.facts.namespaced) applied.metadata.namespace ??= info.namespace;
    const o = {
      manager: exchange.query.get("fieldManager") ?? "",
      force: options.flag(exchange.query, "force"),
      subresource: info.subresource,
      now: context.now,
    };
    return (old) => patcher.apply(gvk, old, structuredClone(applied), o);
  }
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
