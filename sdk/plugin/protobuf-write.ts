/**
 * Writing of protocol buffers (protobuf.ts). As in reading, a text of one character a byte is what interpreted guests make fastest: what is
 * ASCII is put in whole.
 */
import { base64Decode, utf8Encode } from "./bytes.ts";
import {
  BYTES,
  FIXED64,
  type Field,
  isVarint,
  type Lookup,
  type Message,
  VARINT,
  type Value,
} from "./protobuf-tables.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
const ASCII = /^[\x00-\x7f]*$/;

/** What is wrong with a field, which gets its path on the way out. */
class WrongField extends Error {
  path: string;
  readonly wanted: string;
  constructor(path: string, wanted: string) {
    super(`${path}: expected ${wanted}`);
    this.path = path;
    this.wanted = wanted;
  }
}

/** Throws an Error that names the wrong field. */
export function writeMessage(fields: Lookup, message: string, object: Message): Uint8Array {
  try {
    const made = messageText(fields, message, object);
    const bytes = new Uint8Array(made.length);
    for (let i = 0; i < made.length; i++) bytes[i] = made.charCodeAt(i);
    return bytes;
  } catch (error) {
    throw error instanceof WrongField ? new Error(`${message}${error.path}: expected ${error.wanted}`) : error;
  }
}

/** A whole number that is exact in a double. */
function small(value: number): string {
  if (value < 128) return String.fromCharCode(value);
  let rest = value;
  let made = "";
  while (rest > 127) {
    made += String.fromCharCode((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return made + String.fromCharCode(rest);
}

function varint(value: bigint): string {
  let rest = BigInt.asUintN(64, value);
  let made = "";
  while (rest > 127n) {
    made += String.fromCharCode(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return made + String.fromCharCode(Number(rest));
}

function characters(bytes: ArrayLike<number>): string {
  let made = "";
  for (let i = 0; i < bytes.length; i++) made += String.fromCharCode(bytes[i] ?? 0);
  return made;
}

const utf8 = (value: string): string => (ASCII.test(value) ? value : characters(utf8Encode(value)));
const block = (number: number, body: string): string => small(number * 8 + BYTES) + small(body.length) + body;

/** Undefined: the value is none of the field's. */
function wholeOf({ sort, names }: Field, value: Value): number | bigint | undefined {
  if (sort === "enum" && typeof value === "string") {
    for (const number of Object.keys(names)) if (names[Number(number)] === value) return Number(number);
    return undefined;
  }
  if (sort === "bool" && typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  if (typeof value === "string" && /^-?\d+$/.test(value)) return value.length < 16 ? Number(value) : BigInt(value);
  return undefined;
}

function varintText(field: Field, value: Value, keepZero: boolean): string {
  const whole = wholeOf(field, value);
  if (whole === undefined) {
    const isName = field.sort === "enum" && typeof value === "string";
    throw new WrongField("", isName ? `one of ${Object.values(field.names).join(", ")}` : field.type);
  }
  // biome-ignore lint/suspicious/noDoubleEquals: of a number or a big integer
  if (whole == 0 && !keepZero) return "";
  const tag = small(field.number * 8 + VARINT);
  return tag + (typeof whole === "number" && whole >= 0 ? small(whole) : varint(BigInt(whole)));
}

function doubleText(field: Field, value: Value): string {
  if (typeof value !== "number") throw new WrongField("", "a number");
  const eight = new Uint8Array(8);
  new DataView(eight.buffer).setFloat64(0, value, true);
  return small(field.number * 8 + FIXED64) + characters(eight);
}

function oneText(lookup: Lookup, field: Field, value: Value, keepZero: boolean): string {
  const { number, sort } = field;
  if (sort === "string" || sort === "bytes") {
    if (typeof value !== "string") throw new WrongField("", sort === "string" ? "a text" : "base64");
    if (value === "" && !keepZero) return "";
    return block(number, sort === "string" ? utf8(value) : characters(base64Decode(value)));
  }
  if (sort === "message") return block(number, messageText(lookup, field.type, asMessage(value)));
  return isVarint(sort) ? varintText(field, value, keepZero) : doubleText(field, value);
}

function asMessage(value: Value): Message {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new WrongField("", "an object");
  return value;
}

function fieldText(lookup: Lookup, field: Field, value: Value): string {
  if (field.kind === "one") return oneText(lookup, field, value, false);
  let made = "";
  if (field.kind === "many") {
    if (!Array.isArray(value)) throw new WrongField("", "a list");
    for (const one of value) made += oneText(lookup, field, one, true);
  } else if (field.value !== undefined) {
    const entries = asMessage(value);
    for (const key of Object.keys(entries))
      made += block(field.number, block(1, utf8(key)) + oneText(lookup, field.value, entries[key] ?? "", true));
  }
  return made;
}

function messageText(lookup: Lookup, message: string, object: Message): string {
  let made = "";
  for (const field of lookup(message).all) {
    const value = object[field.name];
    if (value === undefined || value === null) continue;
    try {
      made += fieldText(lookup, field, value);
    } catch (error) {
      if (error instanceof WrongField) error.path = `.${field.name}${error.path}`;
      throw error;
    }
  }
  return made;
}
