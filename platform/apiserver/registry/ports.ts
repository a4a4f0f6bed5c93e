/** What is needed of a kind's types: filled by the facts for built-in kinds, by its own schema for a custom resource. */
import type { DynamicObject, GroupVersionKind, JsonObject, KubeObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";

export interface ManageOptions {
  manager: string;
  subresource: string;
  /** Milliseconds since the epoch. */
  now: number;
}

export interface TypeRules {
  /** Sets the schema's own defaults in place. */
  applyDefaults(gvk: GroupVersionKind, object: DynamicObject): void;
  /** Writes the zero values that upstream always writes, in place. */
  fillZeros(gvk: GroupVersionKind, object: DynamicObject): void;
  /** `next` with metadata.managedFields brought up to date for an Update by `manager`. */
  manage(
    gvk: GroupVersionKind,
    old: DynamicObject | undefined,
    next: DynamicObject,
    options: ManageOptions,
  ): DynamicObject;
}

/** What a client asked for fields that the kind doesn't know. */
export type FieldValidation = "Ignore" | "Warn" | "Strict";

/** A body that is no object of the kind; `why` is the decoder's own word, for those who put it otherwise (a patch). */
export class Undecodable extends StatusError {
  readonly why: string;

  constructor(sent: { kind: string; version: string }, wanted: string, why: string) {
    const what = `${sent.kind} in version ${JSON.stringify(sent.version)}`;
    super(400, "BadRequest", `${what} cannot be handled as a ${wanted}: ${why}`);
    this.why = why;
  }
}

/** Bodies to objects of a kind; filled by platform/apiserver/types.ts. */
export interface BodyDecoder {
  decode(
    gvk: { group: string; version: string; kind: string },
    text: string,
    encoding: "json" | "yaml",
    validation: FieldValidation,
    warn: (text: string) => void,
  ): DynamicObject;
  /** A patched document, checked as a body is. */
  check(
    gvk: { group: string; version: string; kind: string },
    value: JsonObject,
    validation: FieldValidation,
    warn: (text: string) => void,
  ): DynamicObject;
}

export interface Patcher {
  json(document: JsonObject, patch: unknown): JsonObject;
  merge(document: JsonObject, patch: JsonObject): JsonObject;
  strategic(gvk: { group: string; version: string; kind: string }, document: JsonObject, patch: JsonObject): JsonObject;
  apply(
    gvk: { group: string; version: string; kind: string },
    live: DynamicObject | undefined,
    applied: DynamicObject,
    o: { manager: string; force: boolean; subresource: string; now: number },
  ): DynamicObject;
}

/** Columns and cells of a table. `now` in milliseconds since 1970. */
export interface TablePrinter {
  columns: { name: string; type: string; format: string; description?: string; priority: number }[];
  cells(object: KubeObject, now: number): (string | number | boolean | null)[];
}
