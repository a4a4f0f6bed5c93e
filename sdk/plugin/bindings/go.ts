/**
 * Bindings for guests in Go (stock toolchain, GOOS=wasip1, -buildmode=c-shared): one package of types, an interface for each interface of
 * hooks, and a function for each of what the plugin may import.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { WitInterface, WitPackage } from "../wit.ts";
import {
  type AbiFunction,
  type AbiType,
  abiFunction,
  answersInMemory,
  type CoreType,
  camel,
  flatten,
  namedTypes,
  pascal,
  sizeOf,
  structure,
  tagged,
  typeWords,
} from "./abi.ts";

type Named = Extract<AbiType, { kind: "named" }>;

const GO_PRIMITIVES: Record<string, string> = {
  bool: "bool",
  u8: "uint8",
  s8: "int8",
  u16: "uint16",
  s16: "int16",
  u32: "uint32",
  s32: "int32",
  u64: "uint64",
  s64: "int64",
  f32: "float32",
  f64: "float64",
  char: "rune",
};
const GO_CORE: Record<CoreType, string> = { i32: "uint32", i64: "uint64", f32: "float32", f64: "float64" };

const runtime = readFileSync(join(import.meta.dirname, "../guests/runtime.go"), "utf8");
const comment = (text: string, indent = ""): string =>
  text
    ? `${text
        .split("\n")
        .map((line) => `${indent}// ${line}`.trimEnd())
        .join("\n")}\n`
    : "";

/** The text of capstan/capstan.go: `hooks` are the interfaces that the plugin exports, `imports` those it may use. */
export function goBindings(contract: WitPackage, hooks: readonly string[], imports: readonly string[]): string {
  const go = new GoWriter(contract);
  const face = (name: string): WitInterface => {
    const found = contract.interfaces.get(name);
    if (!found) throw new Error(`the contract has no interface ${name}`);
    return found;
  };
  const functionsOf = (name: string) => face(name).functions.map((f) => abiFunction(contract, face(name), f));
  const all = [...hooks, ...imports].flatMap(functionsOf);
  const failure = abiFunction(contract, face("api"), face("api").functions[0] as never);
  const types = namedTypes([failure, ...all]).filter(({ home }) =>
    ["types", "scheduling", ...hooks, ...imports].includes(home.name),
  );
  return [
    runtime.trimEnd(),
    ...types.map((type) => go.type(type)),
    ...hooks.map((name) => go.hooks(face(name), functionsOf(name))),
    ...imports.map((name) =>
      functionsOf(name)
        .map((f) => go.imported(face(name), f))
        .join("\n\n"),
    ),
  ]
    .join("\n\n")
    .concat("\n");
}

class GoWriter {
  readonly #contract: WitPackage;
  constructor(contract: WitPackage) {
    this.#contract = contract;
  }

  #named(type: Named): string {
    return pascal(typeWords(this.#contract, type.home, type.def));
  }

  #goType(type: AbiType): string {
    switch (type.kind) {
      case "primitive":
        return GO_PRIMITIVES[type.name] ?? "";
      case "string":
        return "string";
      case "list":
        return `[]${this.#goType(type.of)}`;
      case "pair":
        return `Pair[${type.of.map((t) => this.#goType(t)).join(", ")}]`;
      case "named":
        return this.#named(type);
    }
  }

  type(type: Named): string {
    const name = this.#named(type);
    const { def } = type;
    const doc = comment(def.doc);
    if (def.kind === "enum") {
      const cases = def.fields.map((f, i) => `${comment(f.doc, "\t")}\t${name}${pascal(f.name)} ${name} = ${i}`);
      return `${doc}type ${name} uint8\n\nconst (\n${cases.join("\n")}\n)`;
    }
    const fields = type.fields.flatMap((f, i) =>
      f.type ? [`${comment(def.fields[i]?.doc ?? "", "\t")}\t${pascal(f.name)} ${this.#goType(f.type)}`] : [],
    );
    if (def.kind === "variant") {
      const cases = def.fields.map(
        (f, i) =>
          `\t// ${name}${pascal(f.name)}: ${f.doc.replaceAll("\n", " ") || f.name}\n\t${name}${pascal(f.name)} uint8 = ${i}`,
      );
      const head = `${doc}type ${name} struct {\n\t// Tag says which of the fields counts.\n\tTag uint8\n${fields.join("\n")}\n}`;
      return `${head}\n\nconst (\n${cases.join("\n")}\n)\n\n${this.#variantCode(type, name)}`;
    }
    return `${doc}type ${name} struct {\n${fields.join("\n")}\n}\n\n${this.#recordCode(type, name)}`;
  }

  #recordCode(type: Named, name: string): string {
    const members = type.fields.map((f) => f.type as AbiType);
    const { offsets } = structure(members);
    const loads = type.fields.map(
      (f, i) => `\t\t${pascal(f.name)}: ${this.#load(members[i] as AbiType, at("p", offsets[i]))},`,
    );
    const stores = type.fields.map(
      (f, i) => `\t${this.#store(members[i] as AbiType, at("p", offsets[i]), `v.${pascal(f.name)}`)}`,
    );
    return `func load${name}(p unsafe.Pointer) ${name} {\n\treturn ${name}{\n${loads.join("\n")}\n\t}\n}\n\nfunc store${name}(p unsafe.Pointer, v ${name}) {\n${stores.join("\n")}\n}`;
  }

  #variantCode(type: Named, name: string): string {
    const { payload } = tagged(type.fields.map((f) => f.type));
    const cases = (make: (field: string, t: AbiType) => string) =>
      type.fields.flatMap((f, i) => (f.type ? [`\tcase ${i}:\n\t\t${make(pascal(f.name), f.type)}`] : [])).join("\n");
    const load = cases((field, t) => `v.${field} = ${this.#load(t, at("p", payload))}`);
    const store = cases((field, t) => this.#store(t, at("p", payload), `v.${field}`));
    return `func load${name}(p unsafe.Pointer) ${name} {\n\tv := ${name}{Tag: *(*uint8)(p)}\n\tswitch v.Tag {\n${load}\n\t}\n\treturn v\n}\n\nfunc store${name}(p unsafe.Pointer, v ${name}) {\n\t*(*uint8)(p) = v.Tag\n\tswitch v.Tag {\n${store}\n\t}\n}`;
  }

  #load(type: AbiType, p: string): string {
    switch (type.kind) {
      case "primitive":
        return type.name === "bool" ? `*(*uint8)(${p}) != 0` : `*(*${GO_PRIMITIVES[type.name]})(${p})`;
      case "string":
        return `loadString(${p})`;
      case "list":
        if (isBytes(type)) return `loadBytes(${p})`;
        return `loadList(${p}, ${sizeOf(type.of)}, ${this.#loader(type.of)})`;
      case "pair":
        return `${this.#loader(type)}(${p})`;
      case "named":
        return type.def.kind === "enum" ? `*(*${this.#named(type)})(${p})` : `load${this.#named(type)}(${p})`;
    }
  }

  #loader(type: AbiType): string {
    if (type.kind === "string") return "loadString";
    if (type.kind === "named" && type.def.kind !== "enum") return `load${this.#named(type)}`;
    const go = this.#goType(type);
    if (type.kind !== "pair") return `func(p unsafe.Pointer) ${go} { return ${this.#load(type, "p")} }`;
    const { offsets } = structure(type.of);
    const [first, second] = type.of.map((t, i) => this.#load(t, at("p", offsets[i])));
    return `func(p unsafe.Pointer) ${go} { return ${go}{First: ${first}, Second: ${second}} }`;
  }

  #store(type: AbiType, p: string, v: string): string {
    switch (type.kind) {
      case "primitive":
        return type.name === "bool" ? `storeBool(${p}, ${v})` : `*(*${GO_PRIMITIVES[type.name]})(${p}) = ${v}`;
      case "string":
        return `storeString(${p}, ${v})`;
      case "list":
        if (isBytes(type)) return `storeBytes(${p}, ${v})`;
        return `storeList(${p}, ${v}, ${sizeOf(type.of)}, ${this.#storer(type.of)})`;
      case "pair":
        return `${this.#storer(type)}(${p}, ${v})`;
      case "named":
        return type.def.kind === "enum"
          ? `*(*${this.#named(type)})(${p}) = ${v}`
          : `store${this.#named(type)}(${p}, ${v})`;
    }
  }

  #storer(type: AbiType): string {
    if (type.kind === "string") return "storeString";
    if (type.kind === "named" && type.def.kind !== "enum") return `store${this.#named(type)}`;
    const go = this.#goType(type);
    if (type.kind !== "pair") return `func(p unsafe.Pointer, v ${go}) { ${this.#store(type, "p", "v")} }`;
    const { offsets } = structure(type.of);
    const stores = type.of.map((t, i) => this.#store(t, at("p", offsets[i]), i === 0 ? "v.First" : "v.Second"));
    return `func(p unsafe.Pointer, v ${go}) { ${stores.join("; ")} }`;
  }

  /** An expression over the core values that stand in `flat`. */
  #lift(type: AbiType, flat: string[]): string {
    const first = flat[0] ?? "";
    switch (type.kind) {
      case "primitive":
        return type.name === "bool" ? `${first} != 0` : `${GO_PRIMITIVES[type.name]}(${first})`;
      case "string":
        return `stringAt(${flat.join(", ")})`;
      case "list":
        if (isBytes(type)) return `bytesAt(${flat.join(", ")})`;
        return `listAt(${flat.join(", ")}, ${sizeOf(type.of)}, ${this.#loader(type.of)})`;
      case "pair":
        throw new Error("bindings: a tuple is not known as a parameter");
      case "named": {
        if (type.def.kind === "enum") return `${this.#named(type)}(${first})`;
        let used = 0;
        const fields = type.fields.map((f) => {
          const t = f.type as AbiType;
          const mine = flat.slice(used, used + flatten(t).length);
          used += mine.length;
          return `${pascal(f.name)}: ${this.#lift(t, mine)}`;
        });
        return `${this.#named(type)}{${fields.join(", ")}}`;
      }
    }
  }

  /** Statements that put `v` into core values, and those values. */
  #lower(type: AbiType, v: string, names: () => string): { code: string[]; flat: string[] } {
    switch (type.kind) {
      case "primitive":
        if (type.name === "bool") return { code: [], flat: [`boolOf(${v})`] };
        return { code: [], flat: [`${GO_CORE[flatten(type)[0] as CoreType]}(${v})`] };
      case "string":
      case "list": {
        const [p, n] = [names(), names()];
        const how =
          type.kind === "string"
            ? `lowerString(${v})`
            : isBytes(type)
              ? `lowerBytes(${v})`
              : `lowerList(${v}, ${sizeOf(type.of)}, ${this.#storer(type.of)})`;
        return { code: [`${p}, ${n} := ${how}`], flat: [p, n] };
      }
      case "pair":
        throw new Error("bindings: a tuple is not known as a parameter");
      case "named": {
        if (type.def.kind === "enum") return { code: [], flat: [`uint32(${v})`] };
        const parts = type.fields.map((f) => this.#lower(f.type as AbiType, `${v}.${pascal(f.name)}`, names));
        return { code: parts.flatMap((p) => p.code), flat: parts.flatMap((p) => p.flat) };
      }
    }
  }

  #signature(f: AbiFunction): string {
    const parameters = f.parameters.map((p) => `${camel(p.name)} ${this.#goType(p.type)}`).join(", ");
    const value = f.value ? this.#goType(f.value) : "";
    const answer = f.failure ? (value ? ` (${value}, error)` : " error") : value ? ` ${value}` : "";
    return `(${parameters})${answer}`;
  }

  hooks(face: WitInterface, functions: readonly AbiFunction[]): string {
    const kind = pascal(face.name);
    const served = `${kind[0]?.toLowerCase()}${kind.slice(1)}`;
    const methods = functions.map((f) => `${comment(f.doc, "\t")}\t${pascal(f.name)}${this.#signature(f)}`);
    const head = `${comment(face.doc)}type ${kind} interface {\n${methods.join("\n")}\n}`;
    const serve = `var ${served} ${kind}\n\n// Serve${kind} says what the host calls; for an init function.\nfunc Serve${kind}(hooks ${kind}) { ${served} = hooks }`;
    return [head, serve, ...functions.map((f) => this.#exported(face, served, f))].join("\n\n");
  }

  #exported(face: WitInterface, served: string, f: AbiFunction): string {
    const core = f.spilled ? ["p0 uint32"] : f.flat.map((type, i) => `p${i} ${GO_CORE[type]}`);
    const members = f.parameters.map((p) => p.type);
    const { offsets } = structure(members);
    let used = 0;
    const loads = members.map((type, i) => {
      if (f.spilled) return `\ta${i} := ${this.#load(type, at("pointer(p0)", offsets[i]))}`;
      const count = flatten(type).length;
      const flat = Array.from({ length: count }, (_, n) => `p${used + n}`);
      used += count;
      return `\ta${i} := ${this.#lift(type, flat)}`;
    });
    const call = `${served}.${pascal(f.name)}(${members.map((_, i) => `a${i}`).join(", ")})`;
    const [answer, body] = this.#answering(f, call);
    const go = `export${pascal(face.name)}${pascal(f.name)}`;
    return `//go:wasmexport ${this.#contract.name}/${face.name}@${this.#contract.version}#${f.name}\nfunc ${go}(${core.join(", ")})${answer} {\n${[...loads, "\tbeginCall()", "\tdefer endCall()", ...body].join("\n")}\n}`;
  }

  #answering(f: AbiFunction, call: string): [answer: string, body: string[]] {
    if (!answersInMemory(f)) {
      if (f.value) throw new Error("bindings: a hook that answers one core value is not known");
      return ["", ["\tdefer logPanic()", `\t${call}`]];
    }
    if (!f.failure) {
      const value = f.value as AbiType;
      return [
        " uint32",
        [
          "\tdefer logPanic()",
          `\tvalue := ${call}`,
          `\tr := alloc(${sizeOf(value)})`,
          `\t${this.#store(value, "r", "value")}`,
          "\treturn address(r)",
        ],
      ];
    }
    const { payload, size } = tagged([f.value, f.failure]);
    const guarded = f.value
      ? [`\tvalue, err := guarded(func() (${this.#goType(f.value)}, error) { return ${call} })`]
      : [`\t_, err := guarded(func() (struct{}, error) { return struct{}{}, ${call} })`];
    return [
      " uint32",
      [
        ...guarded,
        `\tr := alloc(${size})`,
        "\tif err != nil {",
        "\t\t*(*uint8)(r) = 1",
        `\t\tstoreFailure(${at("r", payload)}, failureOf(err))`,
        "\t\treturn address(r)",
        "\t}",
        ...(f.value ? [`\t${this.#store(f.value, at("r", payload), "value")}`] : []),
        "\treturn address(r)",
      ],
    ];
  }

  imported(face: WitInterface, f: AbiFunction): string {
    const name = `${pascal(face.name)}${pascal(f.name)}`;
    const inMemory = answersInMemory(f);
    const core = [...(f.spilled ? ["i32" as const] : f.flat), ...(inMemory ? (["i32"] as const) : [])];
    const single = !inMemory && f.value ? ` ${GO_CORE[flatten(f.value)[0] as CoreType]}` : "";
    const declared = `//go:wasmimport ${this.#contract.name}/${face.name}@${this.#contract.version} ${f.name}\nfunc import${name}(${core.map((type, i) => `p${i} ${GO_CORE[type]}`).join(", ")})${single}`;
    let count = 0;
    const names = () => `c${count++}`;
    const members = f.parameters.map((p) => p.type);
    const { offsets, size } = structure(members);
    const lowered = members.map((type, i) => this.#lower(type, camel(f.parameters[i]?.name ?? ""), names));
    const before = f.spilled
      ? [
          `\tspilled := alloc(${size})`,
          ...members.map(
            (type, i) => `\t${this.#store(type, at("spilled", offsets[i]), camel(f.parameters[i]?.name ?? ""))}`,
          ),
        ]
      : lowered.flatMap((l) => l.code.map((line) => `\t${line}`));
    const flat = f.spilled ? ["address(spilled)"] : lowered.flatMap((l) => l.flat);
    return `${declared}\n\n${comment(f.doc)}func ${name}${this.#signature(f)} {\n${[...before, ...this.#received(f, `import${name}`, flat)].join("\n")}\n}`;
  }

  #received(f: AbiFunction, go: string, flat: string[]): string[] {
    if (!answersInMemory(f)) {
      const call = `${go}(${flat.join(", ")})`;
      return [f.value ? `\treturn ${this.#lift(f.value, [call])}` : `\t${call}`];
    }
    const value = f.value;
    const called = ["\twas := setInside(0)", `\t${go}(${[...flat, "address(r)"].join(", ")})`, "\tsetInside(was)"];
    if (!f.failure) {
      const type = value as AbiType;
      return [`\tr := alloc(${sizeOf(type)})`, ...called, `\treturn ${this.#load(type, "r")}`];
    }
    const { payload, size } = tagged([value, f.failure]);
    const failed = `loadFailure(${at("r", payload)})`;
    return [
      `\tr := alloc(${size})`,
      ...called,
      "\tif *(*uint8)(r) != 0 {",
      `\t\tfailure := ${failed}`,
      ...(value ? [`\t\tvar none ${this.#goType(value)}`, "\t\treturn none, &failure"] : ["\t\treturn &failure"]),
      "\t}",
      value ? `\treturn ${this.#load(value, at("r", payload))}, nil` : "\treturn nil",
    ];
  }
}

const at = (p: string, offset: number | undefined): string => (offset ? `unsafe.Add(${p}, ${offset})` : p);
const isBytes = (type: Extract<AbiType, { kind: "list" }>): boolean =>
  type.of.kind === "primitive" && type.of.name === "u8";
