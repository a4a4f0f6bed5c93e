/** Values of the contract, made whole for calls and compared with what was expected; in the engine port's form. */
import type { AbiType } from "../plugin/bindings/abi.ts";
import { camel } from "../plugin/bindings/abi.ts";

/**
 * `given` as a value of the type: what a record lacks is zero, "" or empty, an object where the contract has text becomes JSON text.
 * Throws naming the path where it does not fit.
 */
export function complete(type: AbiType, given: unknown, path: string): unknown {
  switch (type.kind) {
    case "string":
      if (given === undefined) return "";
      return typeof given === "string" ? given : JSON.stringify(given);
    case "primitive":
      if (given === undefined) return type.name === "bool" ? false : type.name === "char" ? " " : 0;
      if (typeof given !== (type.name === "bool" ? "boolean" : "number"))
        throw new Error(`${path} is not a ${type.name}`);
      return given;
    case "list": {
      if (given === undefined) return type.of.kind === "primitive" && type.of.name === "u8" ? new Uint8Array() : [];
      if (type.of.kind === "primitive" && type.of.name === "u8" && typeof given === "string") return Buffer.from(given);
      if (!Array.isArray(given)) throw new Error(`${path} is not a list`);
      return given.map((item, i) => complete(type.of, item, `${path}[${i}]`));
    }
    case "pair": {
      if (!Array.isArray(given) || given.length !== 2) throw new Error(`${path} is not a list of two`);
      return type.of.map((of, i) => complete(of, given[i], `${path}[${i}]`));
    }
    case "named":
      return completeNamed(type, given, path);
  }
}

function completeNamed(type: Extract<AbiType, { kind: "named" }>, given: unknown, path: string): unknown {
  const names = type.fields.map(({ name }) => name);
  if (type.def.kind === "enum") {
    if (given === undefined) return names[0];
    if (!names.includes(String(given))) throw new Error(`${path} is none of ${names.join(", ")}`);
    return given;
  }
  if (type.def.kind === "variant") {
    const { tag, val } = (given ?? { tag: names[0] }) as { tag?: string; val?: unknown };
    const chosen = type.fields.find(({ name }) => name === tag);
    if (!chosen) throw new Error(`${path}.tag is none of ${names.join(", ")}`);
    return chosen.type ? { tag, val: complete(chosen.type, val, `${path}.val`) } : { tag };
  }
  if (typeof given !== "object" && given !== undefined) throw new Error(`${path} is not an object`);
  const record = (given ?? {}) as Record<string, unknown>;
  const known = new Set(names.map(camel));
  for (const name of Object.keys(record)) if (!known.has(name)) throw new Error(`${path} has no field ${name}`);
  return Object.fromEntries(
    type.fields.map((f) => [
      camel(f.name),
      complete(f.type as AbiType, record[camel(f.name)], `${path}.${camel(f.name)}`),
    ]),
  );
}

/**
 * Where `actual` is not as expected, or undefined. Objects may have more than was expected; a text where an object or list was expected
 * is read as JSON; a text that begins and ends with a slash is a regular expression.
 */
export function difference(expected: unknown, actual: unknown, path = "the answer"): string | undefined {
  if (typeof expected === "string") {
    const pattern = /^\/(.+)\/$/s.exec(expected)?.[1];
    const fits =
      pattern === undefined ? actual === expected : typeof actual === "string" && new RegExp(pattern, "s").test(actual);
    return fits ? undefined : `${path} is ${shown(actual)}, expected ${shown(expected)}`;
  }
  if (typeof expected !== "object" || expected === null)
    return Object.is(actual ?? null, expected) ? undefined : `${path} is ${shown(actual)}, expected ${shown(expected)}`;
  const value = ArrayBuffer.isView(actual)
    ? [...(actual as Uint8Array)]
    : typeof actual === "string"
      ? parsed(actual)
      : actual;
  if (Array.isArray(expected)) {
    if (!Array.isArray(value)) return `${path} is ${shown(value)}, expected a list`;
    if (value.length !== expected.length)
      return `${path} has ${value.length} items, expected ${expected.length}: ${shown(value)}`;
    return first(expected.map((item, i) => difference(item, value[i], `${path}[${i}]`)));
  }
  if (typeof value !== "object" || value === null) return `${path} is ${shown(value)}, expected an object`;
  const fields = Object.entries(expected).map(([name, of]) =>
    difference(of, (value as Record<string, unknown>)[name], `${path}.${name}`),
  );
  return first(fields);
}

const first = (differences: (string | undefined)[]): string | undefined => differences.find((d) => d !== undefined);

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "undefined";
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
