/**
 * Reading of protocol buffers (protobuf.ts). Guests are interpreted, where a step costs a hundred times what it costs the host: so the bytes
 * become a text of one character a byte once, of which strings are slices, and what reads on is variables of the module, not fields of an object.
 */
import { base64Encode, utf8Decode } from "./bytes.ts";
import {
  BYTES,
  FIXED32,
  FIXED64,
  type Field,
  isVarint,
  type Lookup,
  type Message,
  VARINT,
  type Value,
} from "./protobuf-tables.ts";

/** How many characters one call makes: arguments lie on the guest's stack. */
const CHARACTERS_MAX = 4096;
const HIGH_BYTE = /[\x80-\xff]/g;

/** The message that is being read; reading never waits, so there is one. */
let bytes = new Uint8Array();
/** A character for each byte. */
let text = "";
let at = 0;
/** Where the next byte of 128 or more is; it lies before `at` when it was passed. */
let high = -1;
let lookup: Lookup;

/** Throws an Error for bytes that are no such message. */
export function readMessage(fields: Lookup, message: string, input: Uint8Array): Message {
  bytes = input as Uint8Array<ArrayBuffer>;
  text = characters(input);
  at = 0;
  high = -1;
  lookup = fields;
  const object = messageTo(message, input.length);
  text = "";
  return object;
}

function characters(input: Uint8Array): string {
  let made = "";
  for (let from = 0; from < input.length; from += CHARACTERS_MAX)
    made += String.fromCharCode.apply(null, input.subarray(from, from + CHARACTERS_MAX) as unknown as number[]);
  return made;
}

const cutShort = (): Error => new Error("the answer is cut short");

/** Tags, lengths and other small numbers; those above 2^53 are not exact. */
function small(end: number): number {
  let byte = at < end ? (bytes[at++] ?? 0) : -1;
  if (byte >= 0 && byte < 128) return byte;
  let value = 0;
  let unit = 1;
  while (byte >= 128 && unit < 2 ** 70) {
    value += (byte & 127) * unit;
    unit *= 128;
    byte = at < end ? (bytes[at++] ?? 0) : -1;
  }
  if (byte < 0 || byte >= 128) throw cutShort();
  return value + byte * unit;
}

function exact(from: number, end: number): bigint {
  at = from;
  let value = 0n;
  for (let shift = 0n; shift < 70n && at < end; shift += 7n) {
    const byte = bytes[at++] ?? 0;
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return BigInt.asUintN(64, value);
  }
  throw cutShort();
}

/** The end of a block that begins here. */
function blockEnd(end: number): number {
  const length = small(end);
  if (at + length > end) throw cutShort();
  return at + length;
}

function stringTo(end: number): string {
  if (high < at) {
    HIGH_BYTE.lastIndex = at;
    high = HIGH_BYTE.test(text) ? HIGH_BYTE.lastIndex - 1 : Number.POSITIVE_INFINITY;
  }
  const from = at;
  at = end;
  return high >= end ? text.slice(from, end) : utf8Decode(bytes.subarray(from, end));
}

function skip(count: number, end: number): void {
  at += count;
  if (at > end) throw cutShort();
}

function skipField(wire: number, end: number): void {
  if (wire === VARINT) small(end);
  else if (wire === FIXED64) skip(8, end);
  else if (wire === BYTES) at = blockEnd(end);
  else if (wire === FIXED32) skip(4, end);
  else throw new Error(`the answer has a field of wire type ${wire}`);
}

function varintOf(field: Field, end: number): Value {
  const from = at;
  const number = small(end);
  const { sort } = field;
  if (sort === "enum") return field.names[number] ?? number;
  if (sort === "bool") return number !== 0;
  if (sort === "int64" || sort === "uint64") {
    if (number <= Number.MAX_SAFE_INTEGER) return String(number);
    const whole = exact(from, end);
    return (sort === "int64" ? BigInt.asIntN(64, whole) : whole).toString();
  }
  if (number < 2 ** 31) return number;
  const whole = exact(from, end);
  return Number(sort === "int32" ? BigInt.asIntN(32, whole) : BigInt.asUintN(32, whole));
}

function oneOf(field: Field, wire: number, end: number): Value {
  const { sort } = field;
  if (isVarint(sort)) return varintOf(field, end);
  if (sort === "double") {
    const from = at;
    skip(8, end);
    return new DataView(bytes.buffer, bytes.byteOffset + from, 8).getFloat64(0, true);
  }
  if (wire !== BYTES) throw new Error(`the answer has ${field.type} as wire type ${wire}`);
  const stop = blockEnd(end);
  if (sort === "string") return stringTo(stop);
  if (sort === "message") return messageTo(field.type, stop);
  const from = at;
  at = stop;
  return base64Encode(bytes.subarray(from, stop));
}

const zeroOf = ({ sort }: Field): Value => (sort === "message" ? {} : sort === "string" || sort === "bytes" ? "" : 0);

/** A map's entry is a message with the key as 1 and the value as 2. */
function entryTo(value: Field, into: Message, end: number): void {
  let key = "";
  let found: Value | undefined;
  while (at < end) {
    const tag = small(end);
    if (tag === 10) key = stringTo(blockEnd(end));
    else if (tag >> 3 === 2) found = oneOf(value, tag & 7, end);
    else skipField(tag & 7, end);
  }
  into[key] = found ?? zeroOf(value);
}

function manyTo(field: Field, wire: number, into: Value[], end: number): void {
  if (wire !== BYTES || !isVarint(field.sort)) {
    into.push(oneOf(field, wire, end));
    return;
  }
  const stop = blockEnd(end);
  while (at < stop) into.push(varintOf(field, stop));
}

function messageTo(message: string, end: number): Message {
  const { byNumber, enums } = lookup(message);
  const object: Message = {};
  for (const field of enums) object[field.name] = field.names[0] ?? 0;
  while (at < end) {
    const tag = small(end);
    const field = byNumber[tag >> 3];
    if (field === undefined) skipField(tag & 7, end);
    else if (field.kind === "one") object[field.name] = oneOf(field, tag & 7, end);
    else if (field.kind === "many") {
      object[field.name] ??= [];
      manyTo(field, tag & 7, object[field.name] as Value[], end);
    } else if (field.value !== undefined) {
      object[field.name] ??= {};
      entryTo(field.value, object[field.name] as Message, blockEnd(end));
    }
  }
  return object;
}
