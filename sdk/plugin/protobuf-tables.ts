/** What the codec of protocol buffers (protobuf.ts) knows of messages, prepared for reading and writing. */

export type Value = null | boolean | number | string | Value[] | { [key: string]: Value | undefined };
export type Message = { [key: string]: Value | undefined };

/** By what a module's generate.ts made of a .proto file. */
export interface Tables {
  /** "FIELD_NUMBER name type" separated by ";": a type is a scalar's, a message's or an enum's name, "*type" repeated, "{type" a map. */
  messages: Readonly<Record<string, string>>;
  /** Names by number. */
  enums: Readonly<Record<string, Readonly<Record<number, string>>>>;
}

/** "enum" where `names` are set, "message" where `type` is looked up among the messages. */
export type Sort =
  | "enum"
  | "bool"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "string"
  | "bytes"
  | "double"
  | "message";

export interface Field {
  number: number;
  name: string;
  type: string;
  kind: "one" | "many" | "map";
  sort: Sort;
  names: Readonly<Record<number, string>>;
  /** Of a map: its entries' value. */
  value?: Field;
}

export interface Fields {
  all: readonly Field[];
  /** Without holes: undefined where no field has the number. */
  byNumber: readonly (Field | undefined)[];
  /** Singular enums: they are always given. */
  enums: readonly Field[];
}

export type Lookup = (message: string) => Fields;

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

const SCALARS: ReadonlySet<string> = new Set([
  "bool",
  "int32",
  "uint32",
  "int64",
  "uint64",
  "string",
  "bytes",
  "double",
] satisfies Sort[]);

const isScalar = (type: string): type is Sort => SCALARS.has(type);

/** Each message is parsed when it is first met. */
export function lookupOf(tables: Tables): Lookup {
  const parsed = new Map<string, Fields>();
  return (message) => {
    const known = parsed.get(message);
    if (known !== undefined) return known;
    const text = tables.messages[message];
    if (text === undefined) throw new Error(`there is no message ${message}`);
    const all = text === "" ? [] : text.split(";").map((one) => parseField(tables, one));
    const byNumber: (Field | undefined)[] = [];
    const most = Math.max(0, ...all.map((field) => field.number));
    for (let number = 0; number <= most; number++) byNumber.push(all.find((field) => field.number === number));
    const enums = all.filter((field) => field.kind === "one" && field.sort === "enum");
    const fields = { all, byNumber, enums };
    parsed.set(message, fields);
    return fields;
  };
}

function parseField(tables: Tables, text: string): Field {
  const [number = "", name = "", marked = ""] = text.split(" ");
  const mark = marked.charAt(0);
  const kind = mark === "*" ? "many" : mark === "{" ? "map" : "one";
  const type = kind === "one" ? marked : marked.slice(1);
  const names = tables.enums[type] ?? {};
  const sort = type in tables.enums ? "enum" : isScalar(type) ? type : "message";
  const field: Field = { number: Number(number), name, type, kind, sort, names };
  return kind === "map" ? { ...field, value: { ...field, number: 2, kind: "one" } } : field;
}

export const isVarint = (sort: Sort): boolean =>
  sort !== "string" && sort !== "bytes" && sort !== "double" && sort !== "message";
