/**
 * What merging and field ownership need to know of a value's type. Compiled from the compact schema, so API facts and
 * custom resource schemas serve alike. The rules are those of kube-openapi's schemaconv: a list without a list type is
 * atomic, a map or struct without a map type is granular, a value without a structure is owned as a whole.
 */
import type { Json } from "#sdk/api/object.ts";
import type { Schema } from "#sdk/api/schema.ts";

/** `any` is a value whose structure is unknown but merged by field (x-kubernetes-preserve-unknown-fields). */
export type TypeKind = "scalar" | "list" | "map" | "any";

export interface Field {
  readonly type: ApplyType;
  readonly default?: Json;
  /** What an absent field of a Go struct is: {}, "", 0, false or null; undefined where absent is absent. */
  readonly zero?: Json;
  readonly patchStrategies: readonly string[];
  readonly patchMergeKey: string;
}

const NO_FIELDS: ReadonlyMap<string, Field> = new Map();

export class ApplyType {
  readonly kind: TypeKind;
  /** The whole value is one leaf: replaced and owned at once. */
  readonly atomic: boolean;
  /** "untyped" is any scalar, "open" anything at all: what OpenAPI gives no one type to. */
  readonly scalar: "string" | "numeric" | "boolean" | "untyped" | "open";
  /** Names of the fields that identify an item of a list of type "map"; empty for a "set". */
  readonly keys: readonly string[];
  readonly #schema: Schema;
  readonly #resolve: (schema: Schema) => ApplyType;
  #element: ApplyType | undefined;
  #fields: ReadonlyMap<string, Field> | undefined;

  constructor(schema: Schema, mapType: Schema["mapType"], resolve: (schema: Schema) => ApplyType) {
    this.#schema = schema;
    this.#resolve = resolve;
    this.kind = kindOf(schema);
    this.scalar = scalarOf(schema);
    this.keys = this.kind === "list" && schema.listType === "map" ? [...(schema.listMapKeys ?? [])].sort() : [];
    this.atomic =
      this.kind === "list"
        ? schema.listType !== "set" && schema.listType !== "map"
        : this.kind === "map"
          ? mapType === "atomic" || (!schema.properties && !schema.values)
          : false;
  }

  /** The type of list items, or of the values of a map with free keys; undefined for a struct. */
  get element(): ApplyType | undefined {
    const inner = this.#schema.items ?? this.#schema.values;
    if (inner && !this.#element) this.#element = this.#resolve(inner);
    return this.#element;
  }

  /** A struct's declared fields. */
  get fields(): ReadonlyMap<string, Field> {
    if (!this.#fields) {
      const properties = Object.entries(this.#schema.properties ?? {});
      this.#fields =
        properties.length === 0
          ? NO_FIELDS
          : new Map(properties.map(([name, schema]) => [name, fieldOf(schema, this.#resolve)]));
    }
    return this.#fields;
  }

  /** Declared to be an object, whatever is in it. */
  get isObject(): boolean {
    return this.#schema.type === "object";
  }

  /** Unknown fields are kept and merged (custom resources that preserve unknown fields). */
  get preservesUnknown(): boolean {
    return this.kind === "any" || this.#schema.preserveUnknownFields === true;
  }
}

function kindOf(schema: Schema): TypeKind {
  if (schema.preserveUnknownFields && !schema.properties) return "any";
  if (schema.type === "array") return "list";
  if (schema.type === "object") return "map";
  if (schema.type === undefined && schema.format === undefined) return "map";
  return "scalar";
}

/** Strings of a format are only known to be scalars (schemaconv's convertPrimitive), those that may be numbers not even that. */
function scalarOf({ type, format }: Schema): ApplyType["scalar"] {
  if (format === "int-or-string") return "open";
  if (format === "quantity") return "untyped";
  if (type === "integer" || type === "number") return "numeric";
  if (type === "boolean") return "boolean";
  return format === undefined || format === "byte" || format === "raw" ? "string" : "untyped";
}

function fieldOf(schema: Schema, resolve: (schema: Schema) => ApplyType): Field {
  let type: ApplyType | undefined;
  return {
    get type() {
      type ??= resolve(schema);
      return type;
    },
    default: schema.default,
    zero: schema.zero,
    patchStrategies: schema.patchStrategy?.split(",") ?? [],
    patchMergeKey: schema.patchMergeKey ?? "",
  };
}

/** Any JSON inside, yet owned as a whole (upstream's typed schema says so; OpenAPI only that unknown fields stay). */
const OPAQUE = new Set(["io.k8s.apimachinery.pkg.runtime.RawExtension"]);

/** Compiles schemas to types, each once. `types` are the definitions that `ref` names. */
export function typeCompiler(types: Readonly<Record<string, Schema>>): (schema: Schema) => ApplyType {
  const compiled = new WeakMap<Schema, ApplyType>();
  const resolve = (schema: Schema): ApplyType => {
    let type = compiled.get(schema);
    if (!type && schema.ref !== undefined && OPAQUE.has(schema.ref)) return UNTYPED;
    if (!type) {
      const target = schema.ref === undefined ? schema : types[schema.ref];
      if (!target) throw new Error(`no definition ${schema.ref}`);
      const sameType = target === schema || schema.mapType === undefined || schema.mapType === target.mapType;
      type =
        target !== schema && sameType
          ? resolve(target)
          : new ApplyType(target, schema.mapType ?? target.mapType, resolve);
      compiled.set(schema, type);
    }
    return type;
  };
  return resolve;
}

/** The type of undeclared fields: owned as a whole. */
export const UNTYPED: ApplyType = new ApplyType({}, "atomic", () => UNTYPED);
/** The type of values whose structure nobody declared: maps are merged by key, lists are atomic. */
export const DEDUCED: ApplyType = typeCompiler({})({ preserveUnknownFields: true });
