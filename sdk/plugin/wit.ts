/**
 * Reads the contract (sdk/wit): the part of WIT that it uses, which is records, enums, variants, functions, interfaces and worlds. What
 * guests' bindings in Go and C and the reference are made from.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export type WitType =
  | { kind: "primitive"; name: string }
  | { kind: "list"; of: WitType }
  | { kind: "option"; of: WitType }
  | { kind: "tuple"; of: WitType[] }
  | { kind: "result"; ok?: WitType; error?: WitType }
  | { kind: "name"; name: string };

export interface WitField {
  name: string;
  doc: string;
  /** Undefined: a case without a value. */
  type?: WitType;
}

export interface WitTypeDef {
  kind: "record" | "enum" | "variant";
  name: string;
  doc: string;
  fields: WitField[];
}

export interface WitFunction {
  name: string;
  doc: string;
  parameters: { name: string; type: WitType }[];
  result?: WitType;
}

export interface WitInterface {
  name: string;
  doc: string;
  /** A type's name to the interface that has it. */
  uses: Map<string, string>;
  types: Map<string, WitTypeDef>;
  functions: WitFunction[];
}

export interface WitWorld {
  name: string;
  doc: string;
  imports: string[];
  exports: string[];
}

export interface WitPackage {
  /** "capstan:plugin" */
  name: string;
  version: string;
  interfaces: Map<string, WitInterface>;
  worlds: Map<string, WitWorld>;
}

const PRIMITIVES = new Set([
  "bool",
  "u8",
  "s8",
  "u16",
  "s16",
  "u32",
  "s32",
  "u64",
  "s64",
  "f32",
  "f64",
  "char",
  "string",
]);
const TOKEN = /\s+|\/\/\/[^\n]*|\/\/[^\n]*|->|%?[a-zA-Z][\w-]*|\d+\.\d+\.\d+|[{}()<>,;:@./_]/gy;

/** Throws where the text has what this reader does not know. */
function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (match.index !== at) break;
    at += match[0].length;
    const token = match[0];
    if (/^\s/.test(token) || /^\/\/([^/]|$)/.test(token)) continue;
    tokens.push(token);
  }
  if (at < text.length) throw new Error(`WIT: cannot read "${text.slice(at, at + 40)}"`);
  return tokens;
}

class Reader {
  readonly #tokens: string[];
  #at = 0;
  constructor(text: string) {
    this.#tokens = tokensOf(text);
  }

  package(into: WitPackage): void {
    for (let doc = this.#doc(); this.#at < this.#tokens.length; doc = this.#doc()) {
      const word = this.#next();
      if (word === "package") [into.name, into.version] = this.#packageName();
      else if (word === "interface") this.#interface(into, doc);
      else if (word === "world") this.#world(into, doc);
      else throw new Error(`WIT: unexpected ${word}`);
    }
  }

  #packageName(): [name: string, version: string] {
    const [namespace, , name, , version] = [this.#next(), this.#want(":"), this.#next(), this.#want("@"), this.#next()];
    this.#want(";");
    return [`${namespace}:${name}`, version];
  }

  #interface(into: WitPackage, doc: string): void {
    const made: WitInterface = { name: this.#name(), doc, uses: new Map(), types: new Map(), functions: [] };
    this.#want("{");
    for (let item = this.#doc(); !this.#accept("}"); item = this.#doc()) {
      const word = this.#next();
      if (word === "use") this.#use(made);
      else if (word === "record" || word === "enum" || word === "variant") this.#typeDef(made, word, item);
      else made.functions.push(this.#function(word.replace("%", ""), item));
    }
    into.interfaces.set(made.name, made);
  }

  #use(made: WitInterface): void {
    const from = this.#name();
    this.#want(".");
    this.#want("{");
    while (!this.#accept("}")) {
      made.uses.set(this.#name(), from);
      this.#accept(",");
    }
    this.#want(";");
  }

  #typeDef(made: WitInterface, kind: WitTypeDef["kind"], doc: string): void {
    const def: WitTypeDef = { kind, name: this.#name(), doc, fields: [] };
    this.#want("{");
    for (let item = this.#doc(); !this.#accept("}"); item = this.#doc()) {
      const field: WitField = { name: this.#name(), doc: item };
      if (kind === "record") {
        this.#want(":");
        field.type = this.#type();
      } else if (kind === "variant" && this.#accept("(")) {
        field.type = this.#type();
        this.#want(")");
      }
      def.fields.push(field);
      this.#accept(",");
    }
    made.types.set(def.name, def);
  }

  #function(name: string, doc: string): WitFunction {
    this.#want(":");
    this.#want("func");
    this.#want("(");
    const made: WitFunction = { name, doc, parameters: [] };
    while (!this.#accept(")")) {
      const parameter = this.#name();
      this.#want(":");
      made.parameters.push({ name: parameter, type: this.#type() });
      this.#accept(",");
    }
    if (this.#accept("->")) made.result = this.#type();
    this.#want(";");
    return made;
  }

  #world(into: WitPackage, doc: string): void {
    const made: WitWorld = { name: this.#name(), doc, imports: [], exports: [] };
    this.#want("{");
    while (!this.#accept("}")) {
      const word = this.#next();
      const name = this.#name();
      if (word === "import") made.imports.push(name);
      else if (word === "export") made.exports.push(name);
      else throw new Error(`WIT: unexpected ${word} in a world`);
      this.#want(";");
    }
    into.worlds.set(made.name, made);
  }

  #type(): WitType {
    const name = this.#name();
    if (PRIMITIVES.has(name)) return { kind: "primitive", name };
    if (!["list", "option", "tuple", "result"].includes(name)) return { kind: "name", name };
    const of: (WitType | undefined)[] = [];
    if (this.#accept("<"))
      while (!this.#accept(">")) {
        of.push(this.#accept("_") ? undefined : this.#type());
        this.#accept(",");
      }
    if (name === "result") return { kind: "result", ok: of[0], error: of[1] };
    const whole = of.filter((type) => type !== undefined);
    if (name === "tuple") return { kind: "tuple", of: whole };
    const [first] = whole;
    if (!first) throw new Error(`WIT: ${name} of nothing`);
    return { kind: name as "list" | "option", of: first };
  }

  #doc(): string {
    const lines: string[] = [];
    while (this.#tokens[this.#at]?.startsWith("///")) lines.push(this.#next().slice(3).replace(/^ /, ""));
    return lines.join("\n");
  }
  #name(): string {
    return this.#next().replace("%", "");
  }
  #next(): string {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new Error("WIT: unexpected end");
    return token;
  }
  #want(token: string): void {
    const got = this.#next();
    if (got !== token) throw new Error(`WIT: expected ${token}, found ${got}`);
  }
  #accept(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }
}

export const witRoot: string = resolve(import.meta.dirname, "../wit");

/** The contract's texts of one version, in the order of their names. */
export function witFiles(version: string): string[] {
  const folder = join(witRoot, version);
  const names = readdirSync(folder).filter((name) => name.endsWith(".wit"));
  return names.sort().map((name) => readFileSync(join(folder, name), "utf8"));
}

export function readContract(version: string): WitPackage {
  const made: WitPackage = { name: "", version: "", interfaces: new Map(), worlds: new Map() };
  for (const text of witFiles(version)) new Reader(text).package(made);
  return made;
}

/** The definition that a name stands for in an interface. */
export function definition(
  contract: WitPackage,
  within: WitInterface,
  name: string,
): { home: WitInterface; def: WitTypeDef } {
  const home = contract.interfaces.get(within.uses.get(name) ?? within.name) ?? within;
  const def = home.types.get(name);
  if (!def) throw new Error(`WIT: ${within.name} has no type ${name}`);
  return { home, def };
}
