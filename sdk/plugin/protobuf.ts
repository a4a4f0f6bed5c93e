/**
 * For guests: protocol buffers (proto3) between bytes and their JSON mapping, driven by tables. Unknown fields are skipped; zero values
 * are neither written nor read, except that an enum is always given, since its zero means something ("SANDBOX_READY").
 */
import { base64Decode, base64Encode, utf8Decode, utf8Encode } from "./bytes.ts";

export type Value = null | boolean | number | string | Value[] | { [key: string]: Value | undefined };
export type Message = { [key: string]: Value | undefined };

interface Field {
  number: number;
  name: string;
  type: string;
  kind: "one" | "many" | "map";
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

interface Fields {
  all: Field[];
  byNumber: Map<number, Field>;
}

/** By what a module's generate.ts made of a .proto file. */
export interface Tables {
  /** "FIELD_NUMBER name type" separated by ";": a type is a scalar's, a message's or an enum's name, "*type" repeated, "{type" a map. */
  messages: Readonly<Record<string, string>>;
  /** Names by number. */
  enums: Readonly<Record<string, Readonly<Record<number, string>>>>;
}

const parsedBy = new WeakMap<Tables, Map<string, Fields>>();

function fieldsOf(tables: Tables, message: string): Fields {
  const parsed = parsedBy.get(tables) ?? new Map<string, Fields>();
  parsedBy.set(tables, parsed);
  const known = parsed.get(message);
  if (known !== undefined) return known;
  const text = tables.messages[message];
  if (text === undefined) throw new Error(`there is no message ${message}`);
  const all = text === "" ? [] : text.split(";").map(parseField);
  const fields = { all, byNumber: new Map(all.map((field) => [field.number, field])) };
  parsed.set(message, fields);
  return fields;
}

function parseField(text: string): Field {
  const [number = "", name = "", type = ""] = text.split(" ");
  const mark = type.charAt(0);
  const kind = mark === "*" ? "many" : mark === "{" ? "map" : "one";
  return { number: Number(number), name, type: kind === "one" ? type : type.slice(1), kind };
}

// ---- writing

class Writer {
  readonly bytes: number[] = [];

  varint(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    while (rest > 127n) {
      this.bytes.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    this.bytes.push(Number(rest));
  }

  /** A number below 2^31. */
  small(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.bytes.push((rest & 127) | 128);
      rest >>>= 7;
    }
    this.bytes.push(rest);
  }

  tag(field: number, wire: number): void {
    this.small(field * 8 + wire);
  }

  block(field: number, bytes: ArrayLike<number>): void {
    this.tag(field, BYTES);
    this.small(bytes.length);
    for (let i = 0; i < bytes.length; i++) this.bytes.push(bytes[i] ?? 0);
  }
}

const wrong = (where: string, wanted: string): Error => new Error(`${where}: expected ${wanted}`);

function integer(tables: Tables, value: Value, type: string, where: string): bigint {
  const names = tables.enums[type];
  if (names !== undefined && typeof value === "string") {
    for (const number of Object.keys(names)) if (names[Number(number)] === value) return BigInt(number);
    throw wrong(where, `one of ${Object.values(names).join(", ")}`);
  }
  if (typeof value === "boolean" && type === "bool") return value ? 1n : 0n;
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value === "string" && /^-?\d+$/.test(value)) return BigInt(value);
  throw wrong(where, type);
}

function isVarint(tables: Tables, type: string): boolean {
  return type in tables.enums || type === "bool" || /^u?int(32|64)$/.test(type);
}

function writeOne(tables: Tables, out: Writer, field: Field, value: Value, where: string, keepZero: boolean): void {
  const { number, type } = field;
  if (isVarint(tables, type)) {
    const whole = integer(tables, value, type, where);
    if (whole === 0n && !keepZero) return;
    out.tag(number, VARINT);
    out.varint(whole);
  } else if (type === "string" || type === "bytes") {
    if (typeof value !== "string") throw wrong(where, type === "string" ? "a text" : "base64");
    if (value === "" && !keepZero) return;
    out.block(number, type === "string" ? utf8Encode(value) : base64Decode(value));
  } else if (type === "double") {
    if (typeof value !== "number") throw wrong(where, "a number");
    const eight = new Uint8Array(8);
    new DataView(eight.buffer).setFloat64(0, value, true);
    out.tag(number, FIXED64);
    out.bytes.push(...eight);
  } else {
    out.block(number, write(tables, type, asMessage(value, where), where).bytes);
  }
}

function asMessage(value: Value | undefined, where: string): Message {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(where, "an object");
  return value;
}

function write(tables: Tables, message: string, object: Message, where: string): Writer {
  const out = new Writer();
  for (const field of fieldsOf(tables, message).all) {
    const value = object[field.name];
    if (value === undefined || value === null) continue;
    const here = `${where}.${field.name}`;
    if (field.kind === "many") {
      if (!Array.isArray(value)) throw wrong(here, "a list");
      for (const one of value) writeOne(tables, out, field, one, here, true);
    } else if (field.kind === "map") {
      const entries = asMessage(value, here);
      for (const key of Object.keys(entries)) {
        const entry = new Writer();
        entry.block(1, utf8Encode(key));
        writeOne(tables, entry, { ...field, number: 2 }, entries[key] ?? "", here, true);
        out.block(field.number, entry.bytes);
      }
    } else {
      writeOne(tables, out, field, value, here, false);
    }
  }
  return out;
}

// ---- reading

class Reader {
  private readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.bytes[this.at++];
      if (byte === undefined || this.at > this.end) break;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw new Error("the answer is cut short");
  }

  /** Tags, lengths and other small numbers, without the cost of big integers; those above 2^53 are not exact. */
  small(): number {
    let value = 0;
    let unit = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.bytes[this.at++];
      if (byte === undefined || this.at > this.end) break;
      value += (byte & 127) * unit;
      if (byte < 128) return value;
      unit *= 128;
    }
    throw new Error("the answer is cut short");
  }

  skip(bytes: number): Uint8Array {
    const from = this.at;
    this.at += bytes;
    if (this.at > this.end) throw new Error("the answer is cut short");
    return this.bytes.subarray(from, this.at);
  }

  block(): Uint8Array {
    return this.skip(this.small());
  }

  skipField(wire: number): void {
    if (wire === VARINT) this.varint();
    else if (wire === FIXED64) this.skip(8);
    else if (wire === BYTES) this.block();
    else if (wire === FIXED32) this.skip(4);
    else throw new Error(`the answer has a field of wire type ${wire}`);
  }
}

function readVarint(tables: Tables, type: string, input: Reader): Value {
  const names = tables.enums[type];
  if (names !== undefined) {
    const number = input.small();
    return names[number] ?? number;
  }
  if (type === "bool") return input.small() !== 0;
  const raw = input.varint();
  if (type === "int64") return BigInt.asIntN(64, raw).toString();
  if (type === "uint64") return raw.toString();
  return Number(type === "int32" ? BigInt.asIntN(32, raw) : BigInt.asUintN(32, raw));
}

function readOne(tables: Tables, input: Reader, type: string, wire: number): Value {
  if (isVarint(tables, type)) return readVarint(tables, type, input);
  if (type === "double") {
    const eight = input.skip(8);
    return new DataView(eight.buffer, eight.byteOffset, 8).getFloat64(0, true);
  }
  if (wire !== BYTES) throw new Error(`the answer has ${type} as wire type ${wire}`);
  const block = input.block();
  if (type === "string") return utf8Decode(block);
  if (type === "bytes") return base64Encode(block);
  return decode(tables, type, block);
}

const zeroOf = (tables: Tables, type: string): Value =>
  type === "string" || type === "bytes" ? "" : isVarint(tables, type) ? 0 : {};

function readEntry(tables: Tables, block: Uint8Array, type: string): [string, Value] {
  const input = new Reader(block, 0, block.length);
  let key = "";
  let value = zeroOf(tables, type);
  while (input.at < input.end) {
    const tag = input.small();
    if (tag >> 3 === 1) key = utf8Decode(input.block());
    else if (tag >> 3 === 2) value = readOne(tables, input, type, tag & 7);
    else input.skipField(tag & 7);
  }
  return [key, value];
}

function readMany(tables: Tables, input: Reader, type: string, wire: number, into: Value[]): void {
  if (wire !== BYTES || !isVarint(tables, type)) {
    into.push(readOne(tables, input, type, wire));
    return;
  }
  const block = input.block();
  const packed = new Reader(block, 0, block.length);
  while (packed.at < packed.end) into.push(readVarint(tables, type, packed));
}

function decode(tables: Tables, message: string, bytes: Uint8Array): Message {
  const fields = fieldsOf(tables, message);
  const object: Message = {};
  for (const field of fields.all)
    if (field.kind === "one" && field.type in tables.enums) object[field.name] = tables.enums[field.type]?.[0] ?? 0;
  const input = new Reader(bytes, 0, bytes.length);
  while (input.at < input.end) {
    const tag = input.small();
    const field = fields.byNumber.get(tag >> 3);
    if (field === undefined) {
      input.skipField(tag & 7);
    } else if (field.kind === "many") {
      const list = object[field.name];
      const into = Array.isArray(list) ? list : [];
      object[field.name] = into;
      readMany(tables, input, field.type, tag & 7, into);
    } else if (field.kind === "map") {
      const [key, value] = readEntry(tables, input.block(), field.type);
      object[field.name] = { ...asMessage(object[field.name] ?? {}, field.name), [key]: value };
    } else {
      object[field.name] = readOne(tables, input, field.type, tag & 7);
    }
  }
  return object;
}

export interface Codec {
  /** The wire form of a message given in its JSON mapping. Throws an Error that names the wrong field. */
  encode(message: string, object: Message): Uint8Array;
  /** A message in its JSON mapping from its wire form. Throws an Error for bytes that are none. */
  decode(message: string, bytes: Uint8Array): Message;
}

export const createCodec = (tables: Tables): Codec => ({
  encode: (message, object) => new Uint8Array(write(tables, message, object, message).bytes),
  decode: (message, bytes) => decode(tables, message, bytes),
});
