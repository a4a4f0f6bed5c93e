/**
 * The component model's canonical ABI for the contract's types: how they lie in a guest's memory, and as which core values they are passed
 * (https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md).
 */
import {
  definition,
  type WitFunction,
  type WitInterface,
  type WitPackage,
  type WitType,
  type WitTypeDef,
} from "../wit.ts";

/** A type with its names resolved. */
export type AbiType =
  | { kind: "primitive"; name: string }
  | { kind: "string" }
  | { kind: "list"; of: AbiType }
  | { kind: "pair"; of: [AbiType, AbiType] }
  | { kind: "named"; home: WitInterface; def: WitTypeDef; fields: { name: string; type: AbiType | undefined }[] };

export type CoreType = "i32" | "i64" | "f32" | "f64";

/** As many core values a call passes at most; beyond that the parameters lie in memory. */
export const FLAT_PARAMETERS_MAX = 16;
/** The tag of a result or variant is one byte. */
const TAG_BYTES = 1;

const PRIMITIVE_BYTES: Record<string, number> = {
  bool: 1,
  u8: 1,
  s8: 1,
  u16: 2,
  s16: 2,
  u32: 4,
  s32: 4,
  f32: 4,
  char: 4,
};
const primitiveBytes = (name: string): number => PRIMITIVE_BYTES[name] ?? 8;

export function resolveType(contract: WitPackage, within: WitInterface, type: WitType): AbiType {
  const inner = (t: WitType) => resolveType(contract, within, t);
  switch (type.kind) {
    case "primitive":
      return type.name === "string" ? { kind: "string" } : { kind: "primitive", name: type.name };
    case "list":
      return { kind: "list", of: inner(type.of) };
    case "tuple": {
      const [first, second, ...more] = type.of;
      if (!first || !second || more.length > 0) throw new Error("bindings: only tuples of two are known");
      return { kind: "pair", of: [inner(first), inner(second)] };
    }
    case "name": {
      const { home, def } = definition(contract, within, type.name);
      const fields = def.fields.map((f) => ({
        name: f.name,
        type: f.type && resolveType(contract, home, f.type),
      }));
      return { kind: "named", home, def, fields };
    }
    default:
      throw new Error(`bindings: ${type.kind} is not known here`);
  }
}

const up = (offset: number, alignment: number): number => Math.ceil(offset / alignment) * alignment;

export function alignOf(type: AbiType): number {
  switch (type.kind) {
    case "primitive":
      return primitiveBytes(type.name);
    case "pair":
      return Math.max(...type.of.map(alignOf));
    case "named":
      return Math.max(TAG_BYTES, ...type.fields.map((f) => (f.type ? alignOf(f.type) : 1)));
    default:
      return 4;
  }
}

export function sizeOf(type: AbiType): number {
  switch (type.kind) {
    case "primitive":
      return primitiveBytes(type.name);
    case "pair":
      return structure(type.of).size;
    case "named":
      if (type.def.kind === "record") return structure(type.fields.map((f) => f.type as AbiType)).size;
      return tagged(type.fields.map((f) => f.type)).size;
    default:
      return 8;
  }
}

/** Offsets of members one after the other. */
export function structure(members: readonly AbiType[]): { offsets: number[]; size: number } {
  let at = 0;
  let alignment = 1;
  const offsets = members.map((member) => {
    at = up(at, alignOf(member));
    alignment = Math.max(alignment, alignOf(member));
    const offset = at;
    at += sizeOf(member);
    return offset;
  });
  return { offsets, size: up(at, alignment) };
}

/** A tag, then whichever of the payloads. */
export function tagged(payloads: readonly (AbiType | undefined)[]): { payload: number; size: number } {
  const present = payloads.filter((p) => p !== undefined);
  const alignment = Math.max(TAG_BYTES, ...present.map(alignOf));
  const payload = up(TAG_BYTES, alignment);
  return { payload, size: up(payload + Math.max(0, ...present.map(sizeOf)), alignment) };
}

/** The core values that a parameter is passed as. */
export function flatten(type: AbiType): CoreType[] {
  switch (type.kind) {
    case "primitive":
      if (type.name === "f64" || type.name === "f32") return [type.name];
      return [primitiveBytes(type.name) === 8 ? "i64" : "i32"];
    case "pair":
      return type.of.flatMap(flatten);
    case "named":
      if (type.def.kind === "record") return type.fields.flatMap((f) => flatten(f.type as AbiType));
      if (type.def.kind === "enum") return ["i32"];
      throw new Error(`bindings: the variant ${type.def.name} is not known as a parameter`);
    default:
      return ["i32", "i32"];
  }
}

export interface AbiFunction {
  name: string;
  doc: string;
  parameters: { name: string; type: AbiType }[];
  flat: CoreType[];
  /** The parameters lie in memory, one pointer is passed. */
  spilled: boolean;
  /** Undefined where nothing is answered, or where only success or failure is. */
  value: AbiType | undefined;
  /** A `result<…, failure>`: the failure's type. */
  failure: AbiType | undefined;
}

export function abiFunction(contract: WitPackage, face: WitInterface, f: WitFunction): AbiFunction {
  const parameters = f.parameters.map((p) => ({ name: p.name, type: resolveType(contract, face, p.type) }));
  const flat = parameters.flatMap((p) => flatten(p.type));
  const result = f.result;
  const fails = result?.kind === "result" ? result : undefined;
  const value = fails ? fails.ok : result;
  return {
    name: f.name,
    doc: f.doc,
    parameters,
    flat,
    spilled: flat.length > FLAT_PARAMETERS_MAX,
    value: value && resolveType(contract, face, value),
    failure: fails?.error && resolveType(contract, face, fails.error),
  };
}

/** An answer that lies in memory: everything but nothing and a single core value. */
export const answersInMemory = (f: AbiFunction): boolean =>
  f.failure !== undefined || (f.value !== undefined && flatten(f.value).length > 1);

/** The named types that these functions use, each before those that contain it. */
export function namedTypes(functions: readonly AbiFunction[]): Extract<AbiType, { kind: "named" }>[] {
  const found = new Map<string, Extract<AbiType, { kind: "named" }>>();
  const visit = (type: AbiType | undefined): void => {
    if (!type || type.kind === "primitive" || type.kind === "string") return;
    if (type.kind === "list") visit(type.of);
    else if (type.kind === "pair") for (const of of type.of) visit(of);
    else {
      for (const field of type.fields) visit(field.type);
      found.set(`${type.home.name}/${type.def.name}`, type);
    }
  };
  for (const f of functions) {
    for (const p of f.parameters) visit(p.type);
    visit(f.value);
    visit(f.failure);
  }
  return [...found.values()];
}

/** What a type is called in a guest's language: its interface stands before a name that several interfaces have. */
export function typeWords(contract: WitPackage, home: WitInterface, def: WitTypeDef): string {
  const homes = [...contract.interfaces.values()].filter((face) => face.types.has(def.name));
  return homes.length > 1 ? `${home.name.replace(/-hooks$/, "")}-${def.name}` : def.name;
}

export const pascal = (name: string): string =>
  name.replace(/(^|-)(.)/g, (_, _dash: string, c: string) => c.toUpperCase());
export const camel = (name: string): string => name.replace(/-(.)/g, (_, c: string) => c.toUpperCase());
