/** As much of protobuf's wire format as the KMS API's flat messages need: varints and byte strings. */
export type Value = number | Buffer | string;
export type Fields = Map<number, (number | Buffer)[]>;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

/** Fields in their order; a number may come again. */
export function encode(fields: readonly (readonly [number, Value])[]): Buffer {
  const parts = fields.map(([number, value]) => {
    if (typeof value === "number") return Buffer.from([...varint(number << 3), ...varint(value)]);
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from([...varint((number << 3) | 2), ...varint(bytes.length)]), bytes]);
  });
  return Buffer.concat(parts);
}

/** Throws when the message is cut short or has other wire types than these two. */
export function decode(message: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++];
      if (byte === undefined || scale > 2 ** 49) throw new Error("the message is cut short");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = next();
    const value = (tag & 7) === 0 ? next() : bytes(tag & 7);
    const number = tag >>> 3;
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  function bytes(type: number): Buffer {
    const length = next();
    if (type !== 2 || at + length > message.length) throw new Error("the message is cut short");
    at += length;
    return message.subarray(at - length, at);
  }
  return fields;
}

export function bytesOf(fields: Fields, number: number): Buffer {
  const value = fields.get(number)?.at(-1);
  return typeof value === "object" ? value : Buffer.alloc(0);
}

export const textOf = (fields: Fields, number: number): string => bytesOf(fields, number).toString("utf8");

export function numberOf(fields: Fields, number: number): number {
  const value = fields.get(number)?.at(-1);
  return typeof value === "number" ? value : 0;
}

/** A map<string, bytes>, entry by entry as it came: it is only ever passed on. */
export const entriesOf = (fields: Fields, number: number): Buffer[] =>
  (fields.get(number) ?? []).filter((value): value is Buffer => typeof value === "object");
