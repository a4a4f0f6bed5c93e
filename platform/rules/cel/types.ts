/** CEL's types, as declarations of variables and functions name them. */
export type CelType =
  | {
      kind:
        | "dyn"
        | "bool"
        | "int"
        | "uint"
        | "double"
        | "string"
        | "bytes"
        | "null"
        | "timestamp"
        | "duration"
        /** Of what could not be told: stands anywhere, so that one mistake is told once. */
        | "error";
    }
  /** `of`: the type that it is, where that's known. */
  | { kind: "type"; of?: CelType }
  | { kind: "list"; element: CelType }
  | { kind: "map"; key: CelType; value: CelType }
  /** Declared fields and no others, unless `open`. `fields` may be a getter, for types that contain themselves. */
  | { kind: "object"; name: string; fields: Readonly<Record<string, CelType>>; open?: true }
  | { kind: "optional"; value: CelType }
  /** A value that only functions look into: a quantity, a URL, an address. */
  | { kind: "opaque"; name: string }
  /** Any one type, the same at each place of a signature where the name stands. */
  | { kind: "parameter"; name: string };

const plain = <
  K extends
    | "dyn"
    | "bool"
    | "int"
    | "uint"
    | "double"
    | "string"
    | "bytes"
    | "null"
    | "timestamp"
    | "duration"
    | "type"
    | "error",
>(
  kind: K,
): CelType => ({ kind });

export const DYN = plain("dyn");
export const BOOL = plain("bool");
export const INT = plain("int");
export const UINT = plain("uint");
export const DOUBLE = plain("double");
export const STRING = plain("string");
export const BYTES = plain("bytes");
export const NULL = plain("null");
export const TIMESTAMP = plain("timestamp");
export const DURATION = plain("duration");
export const TYPE = plain("type");
export const ERROR = plain("error");
export const listOf = (element: CelType): CelType => ({ kind: "list", element });
export const mapOf = (key: CelType, value: CelType): CelType => ({ kind: "map", key, value });
export const optionalOf = (value: CelType): CelType => ({ kind: "optional", value });
export const opaque = (name: string): CelType => ({ kind: "opaque", name });
export const parameter = (name: string): CelType => ({ kind: "parameter", name });
export const objectType = (name: string, fields: Readonly<Record<string, CelType>>): CelType => ({
  kind: "object",
  name,
  fields,
});

function textOf(type: CelType, names: Readonly<Partial<Record<CelType["kind"], string>>>): string {
  const inner = (part: CelType) => textOf(part, names);
  switch (type.kind) {
    case "list":
      return `list(${inner(type.element)})`;
    case "map":
      return `map(${inner(type.key)}, ${inner(type.value)})`;
    case "optional":
      return `optional_type(${inner(type.value)})`;
    case "type":
      return type.of ? `type(${inner(type.of)})` : "type";
    case "object":
    case "opaque":
    case "parameter":
      return type.name;
    default:
      return names[type.kind] ?? type.kind;
  }
}

const FULL_NAMES = {
  timestamp: "google.protobuf.Timestamp",
  duration: "google.protobuf.Duration",
  null: "null_type",
  error: "!error!",
};

/** As cel-go names it outside of its checker. */
export const typeText = (type: CelType): string => textOf(type, FULL_NAMES);

/** As the messages of cel-go's checker write it. */
export const shortTypeText = (type: CelType): string => textOf(type, { error: "!error!" });

/** The type of a literal that names a type: `int`, `google.protobuf.Timestamp`. */
const TYPES: readonly CelType[] = [
  BOOL,
  INT,
  UINT,
  DOUBLE,
  STRING,
  BYTES,
  NULL,
  TIMESTAMP,
  DURATION,
  listOf(DYN),
  mapOf(DYN, DYN),
  optionalOf(DYN),
  TYPE,
];
export const NAMED_TYPES: ReadonlyMap<string, CelType> = new Map(
  TYPES.map((of) => [typeText(of).replace(/\(.*/, ""), { kind: "type", of }]),
);

export type Bindings = Map<string, CelType>;

/** Whether a value of type `actual` may stand where `declared` is asked; binds parameters. dyn stands anywhere. */
export function assignable(declared: CelType, actual: CelType, bound: Bindings): boolean {
  if (declared.kind === "error" || actual.kind === "error") return true;
  if (declared.kind === "parameter") {
    const known = bound.get(declared.name);
    if (known === undefined || (known.kind === "dyn" && actual.kind !== "dyn")) {
      bound.set(declared.name, known ?? actual);
      return true;
    }
    if (assignable(known, actual, bound)) return true;
    if (assignable(actual, known, bound)) {
      bound.set(declared.name, actual);
      return true;
    }
    return false;
  }
  if (declared.kind === "dyn" || actual.kind === "dyn" || actual.kind === "parameter") return true;
  // Null stands for an absent message, time or opaque value.
  if (actual.kind === "null" || declared.kind === "null") {
    const other = actual.kind === "null" ? declared.kind : actual.kind;
    return ["null", "object", "timestamp", "duration", "opaque", "optional"].includes(other);
  }
  if (declared.kind !== actual.kind) return false;
  if (declared.kind === "list" && actual.kind === "list") return assignable(declared.element, actual.element, bound);
  if (declared.kind === "optional" && actual.kind === "optional")
    return assignable(declared.value, actual.value, bound);
  if (declared.kind === "map" && actual.kind === "map") {
    return assignable(declared.key, actual.key, bound) && assignable(declared.value, actual.value, bound);
  }
  if ("name" in declared && "name" in actual) return declared.name === actual.name;
  return true;
}

/** The type with its parameters replaced by what they were bound to; dyn where nothing bound them. */
export function substitute(type: CelType, bound: Bindings): CelType {
  switch (type.kind) {
    case "parameter":
      return bound.get(type.name) ?? DYN;
    case "list":
      return listOf(substitute(type.element, bound));
    case "map":
      return mapOf(substitute(type.key, bound), substitute(type.value, bound));
    case "optional":
      return optionalOf(substitute(type.value, bound));
    case "type":
      return type.of ? { kind: "type", of: substitute(type.of, bound) } : type;
    default:
      return type;
  }
}

/** One type for both, or undefined. */
export function join(a: CelType, b: CelType): CelType | undefined {
  if (a.kind === "error" || b.kind === "error") return ERROR;
  if (a.kind === "dyn" || b.kind === "dyn") return DYN;
  if (assignable(a, b, new Map())) return a.kind === "null" ? b : a;
  return assignable(b, a, new Map()) ? b : undefined;
}
