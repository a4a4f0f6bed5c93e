/**
 * Bindings for guests in C (clang, --target=wasm32-unknown-unknown): one header. The canonical ABI lays records out as C does on that
 * target, so that the host's memory is read as it stands.
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
  flatten,
  namedTypes,
  typeWords,
} from "./abi.ts";

type Named = Extract<AbiType, { kind: "named" }>;

const C_PRIMITIVES: Record<string, string> = {
  bool: "bool",
  u8: "uint8_t",
  s8: "int8_t",
  u16: "uint16_t",
  s16: "int16_t",
  u32: "uint32_t",
  s32: "int32_t",
  u64: "uint64_t",
  s64: "int64_t",
  f32: "float",
  f64: "double",
  char: "uint32_t",
};
const C_CORE: Record<CoreType, string> = { i32: "uint32_t", i64: "uint64_t", f32: "float", f64: "double" };

const KEYWORDS = new Set(
  "auto break case char const continue default do double else enum extern float for goto if int long".split(" "),
);
/** A name of the contract in C. */
const snake = (name: string): string => {
  const word = name.replaceAll("-", "_");
  return KEYWORDS.has(word) ? `${word}_` : word;
};

const guests = join(import.meta.dirname, "../guests");
const header = readFileSync(join(guests, "runtime.h"), "utf8");
const runtime = readFileSync(join(guests, "runtime.c"), "utf8");
const comment = (text: string, indent = ""): string =>
  text
    ? `${text
        .split("\n")
        .map((line) => `${indent}// ${line}`.trimEnd())
        .join("\n")}\n`
    : "";

/** The text of capstan.h: `hooks` are the interfaces that the plugin exports, `imports` those it may use. */
export function cBindings(contract: WitPackage, hooks: readonly string[], imports: readonly string[]): string {
  const c = new CWriter(contract);
  const face = (name: string): WitInterface => {
    const found = contract.interfaces.get(name);
    if (!found) throw new Error(`the contract has no interface ${name}`);
    return found;
  };
  const functionsOf = (name: string) => face(name).functions.map((f) => abiFunction(contract, face(name), f));
  const each = (names: readonly string[], make: (face: WitInterface, f: AbiFunction) => string) =>
    names.flatMap((name) => functionsOf(name).map((f) => make(face(name), f)));
  const functions = [...hooks, ...imports].flatMap(functionsOf);
  const types = c.types(functions);
  return [
    header.trimEnd(),
    ...types,
    "// What the plugin defines. Those that can fail answer true, and `out`, or false, and `failure`.",
    ...each(hooks, (f, g) => c.hook(f, g)),
    "// What the plugin may call.",
    ...each(imports, (f, g) => c.imported(f, g)),
    runtime.trimEnd(),
    ...each(hooks, (f, g) => c.exported(f, g)),
    "#endif",
  ]
    .join("\n\n")
    .concat("\n");
}

class CWriter {
  readonly #contract: WitPackage;
  constructor(contract: WitPackage) {
    this.#contract = contract;
  }

  #word(type: AbiType): string {
    switch (type.kind) {
      case "primitive":
        return type.name;
      case "string":
        return "string";
      case "list":
        return `list_${this.#word(type.of)}`;
      case "pair":
        return `pair_${type.of.map((t) => this.#word(t)).join("_")}`;
      case "named":
        return snake(typeWords(this.#contract, type.home, type.def));
    }
  }

  #type(type: AbiType): string {
    return type.kind === "primitive" ? (C_PRIMITIVES[type.name] ?? "") : `capstan_${this.#word(type)}`;
  }

  /** Definitions in an order in which each is complete where it is used by value; lists only point. */
  types(functions: readonly AbiFunction[]): string[] {
    const made = new Map<string, string>();
    const visit = (type: AbiType | undefined): void => {
      if (!type || type.kind === "primitive" || type.kind === "string" || made.has(this.#word(type))) return;
      const inner = type.kind === "list" ? [type.of] : type.kind === "pair" ? type.of : type.fields.map((f) => f.type);
      for (const of of inner) visit(of);
      made.set(this.#word(type), this.#definition(type));
    };
    for (const type of namedTypes(functions)) visit(type);
    for (const f of functions) for (const type of [f.value, f.failure, ...f.parameters.map((p) => p.type)]) visit(type);
    return [...made.values()];
  }

  #definition(type: Exclude<AbiType, { kind: "primitive" | "string" }>): string {
    const name = this.#type(type);
    if (type.kind === "list") return `typedef struct {\n  ${this.#type(type.of)} *items;\n  size_t length;\n} ${name};`;
    if (type.kind === "pair")
      return `typedef struct {\n  ${this.#type(type.of[0])} first;\n  ${this.#type(type.of[1])} second;\n} ${name};`;
    return this.#named(type, name);
  }

  #named(type: Named, name: string): string {
    const { def } = type;
    const doc = comment(def.doc);
    const fields = type.fields.flatMap((f, i) =>
      f.type ? [`${comment(def.fields[i]?.doc ?? "", "  ")}  ${this.#type(f.type)} ${snake(f.name)};`] : [],
    );
    if (def.kind === "record") return `${doc}typedef struct {\n${fields.join("\n")}\n} ${name};`;
    const constants = def.fields.map(
      (f, i) => `${comment(f.doc, "  ")}  ${`${name}_${snake(f.name)}`.toUpperCase()} = ${i},`,
    );
    const cases = `enum {\n${constants.join("\n")}\n};`;
    if (def.kind === "enum") return `${doc}typedef uint8_t ${name};\n${cases}`;
    return `${doc}typedef struct {\n  uint8_t tag;\n  union {\n${fields.join("\n").replace(/^/gm, "  ")}\n  } value;\n} ${name};\n${cases}`;
  }

  /** Numbers and texts by value, all else by reference. */
  #parameter(type: AbiType, name: string): string {
    const byValue =
      type.kind === "primitive" || type.kind === "string" || (type.kind === "named" && type.def.kind === "enum");
    return byValue ? `${this.#type(type)} ${name}` : `const ${this.#type(type)} *${name}`;
  }
  #argument(type: AbiType, expression: string): string {
    return this.#parameter(type, "").endsWith("*") ? `&${expression}` : expression;
  }
  #value(type: AbiType, name: string): string {
    return this.#parameter(type, "").endsWith("*") ? `(*${name})` : name;
  }

  #signature(face: WitInterface, f: AbiFunction): string {
    const parameters = f.parameters.map((p) => this.#parameter(p.type, snake(p.name)));
    if (f.value && answersInMemory(f)) parameters.push(`${this.#type(f.value)} *out`);
    if (f.failure) parameters.push(`${this.#type(f.failure)} *failure`);
    const returned = f.failure ? "bool" : f.value && !answersInMemory(f) ? this.#type(f.value) : "void";
    const name = `capstan_${snake(face.name.replace(/-hooks$/, ""))}_${snake(f.name)}`;
    return `${returned} ${name}(${parameters.join(", ") || "void"})`;
  }

  hook(face: WitInterface, f: AbiFunction): string {
    return `${comment(f.doc)}${this.#signature(face, f)};`;
  }

  /** How a result lies in memory. */
  #result(f: AbiFunction): string {
    if (!f.failure) return this.#type(f.value as AbiType);
    const ok = f.value ? `${this.#type(f.value)} ok; ` : "";
    return `struct { bool failed; union { ${ok}${this.#type(f.failure)} failure; } value; }`;
  }

  exported(face: WitInterface, f: AbiFunction): string {
    const symbol = `${this.#contract.name}/${face.name}@${this.#contract.version}#${f.name}`;
    const own = `${snake(face.name)}_${snake(f.name)}`;
    let used = 0;
    const core: string[] = [];
    const locals = f.parameters.map((p, i) => {
      if (f.spilled) return "";
      const flat = flatten(p.type).map((type) => {
        core.push(`${C_CORE[type]} p${used}`);
        return `p${used++}`;
      });
      return `  ${this.#type(p.type)} a${i} = ${this.#lift(p.type, flat)};`;
    });
    const members = f.parameters.map((p, i) => `${this.#type(p.type)} a${i};`).join(" ");
    const from = f.spilled ? "p->" : "";
    const inMemory = answersInMemory(f);
    const call = f.parameters.map((p, i) => this.#argument(p.type, `${from}a${i}`));
    if (f.value && inMemory) call.push(f.failure ? "&r->value.ok" : "r");
    if (f.failure) call.push("&r->value.failure");
    const callee = this.#signature(face, f).replace(/^\w+ (\w+)\(.*$/, "$1");
    const body = [
      ...locals.filter(Boolean),
      ...(inMemory
        ? [
            `  typedef ${this.#result(f)} result;`,
            "  result *r = capstan_alloc(sizeof(result));",
            "  memset(r, 0, sizeof(result));",
          ]
        : []),
      f.failure ? `  r->failed = !${callee}(${call.join(", ")});` : `  ${callee}(${call.join(", ")});`,
      // Without an answer in memory nobody tells when the call is over: now.
      inMemory ? "  return r;" : "  capstan_release();",
    ];
    const head = f.spilled ? `const struct capstan_args_${own} *p` : core.join(", ") || "void";
    const args = f.spilled ? `struct capstan_args_${own} { ${members} };\n` : "";
    const post = inMemory
      ? `\n__attribute__((export_name("cabi_post_${symbol}"))) void capstan_post_${own}(void *r) {\n  (void)r;\n  capstan_release();\n}`
      : "";
    return `${args}__attribute__((export_name("${symbol}"))) ${inMemory ? "void *" : "void "}capstan_export_${own}(${head}) {\n${body.join("\n")}\n}${post}`;
  }

  #lift(type: AbiType, flat: readonly string[]): string {
    switch (type.kind) {
      case "primitive":
        return flat[0] ?? "";
      case "string":
        return `{(const char *)${flat[0]}, ${flat[1]}}`;
      case "list":
        return `{(${this.#type(type.of)} *)${flat[0]}, ${flat[1]}}`;
      case "pair":
        throw new Error("bindings: a tuple is not known as a parameter");
      case "named": {
        if (type.def.kind === "enum") return `(uint8_t)${flat[0]}`;
        let used = 0;
        const fields = type.fields.map((f) => {
          const mine = flat.slice(used, used + flatten(f.type as AbiType).length);
          used += mine.length;
          return this.#lift(f.type as AbiType, mine);
        });
        return `{${fields.join(", ")}}`;
      }
    }
  }

  imported(face: WitInterface, f: AbiFunction): string {
    const raw = `capstan_import_${snake(face.name)}_${snake(f.name)}`;
    const inMemory = answersInMemory(f);
    const core = [
      ...(f.spilled ? ["const void *"] : f.flat.map((type) => C_CORE[type])),
      ...(inMemory ? ["void *"] : []),
    ];
    const returned = !inMemory && f.value ? C_CORE[flatten(f.value)[0] as CoreType] : "void";
    const module = `${this.#contract.name}/${face.name}@${this.#contract.version}`;
    const declared = `__attribute__((import_module("${module}"), import_name("${f.name}"))) ${returned} ${raw}(${core.join(", ") || "void"});`;
    const values = f.parameters.map((p) => ({ type: p.type, value: this.#value(p.type, snake(p.name)) }));
    const spill = f.spilled
      ? [
          `  const struct { ${f.parameters.map((p, i) => `${this.#type(p.type)} a${i};`).join(" ")} } p = {${values.map((v) => v.value).join(", ")}};`,
        ]
      : [];
    const flat = f.spilled ? ["&p"] : values.flatMap(({ type, value }) => this.#lower(type, value));
    const call = `${raw}(${[...flat, ...(inMemory ? ["&r"] : [])].join(", ")})`;
    const body = !inMemory
      ? [f.value ? `  return ${call};` : `  ${call};`]
      : f.failure
        ? [
            `  ${this.#result(f)} r;`,
            `  ${call};`,
            "  if (r.failed) *failure = r.value.failure;",
            ...(f.value ? ["  else *out = r.value.ok;"] : []),
            "  return !r.failed;",
          ]
        : [`  ${this.#result(f)} r;`, `  ${call};`, "  *out = r;"];
    return `${declared}\n${comment(f.doc)}static inline ${this.#signature(face, f)} {\n${[...spill, ...body].join("\n")}\n}`;
  }

  #lower(type: AbiType, value: string): string[] {
    switch (type.kind) {
      case "primitive":
        return [value];
      case "string":
        return [`(uint32_t)${value}.data`, `${value}.length`];
      case "list":
        return [`(uint32_t)${value}.items`, `${value}.length`];
      case "pair":
        throw new Error("bindings: a tuple is not known as a parameter");
      case "named":
        if (type.def.kind === "enum") return [value];
        return type.fields.flatMap((f) => this.#lower(f.type as AbiType, `${value}.${snake(f.name)}`));
    }
  }
}
