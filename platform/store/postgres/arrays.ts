/**
 * Arrays as parameters, in PostgreSQL's binary form (array_recv): a document's quotes need no escapes, and neither side reads it
 * letter by letter. pg sends what is a Buffer as binary.
 *
 *   int4 dimensions (1, or 0 when empty) · int4 has nulls · int4 element type · int4 length · int4 lower bound · elements: int4 bytes (-1: null), data
 */
const INT8 = 20;
const INT2 = 21;
const TEXT = 25;
const BOOL = 16;
const EMPTY_BYTES = 12;
const HEAD_BYTES = 20;

function start(type: number, count: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(count === 0 ? EMPTY_BYTES : HEAD_BYTES + 4 * count + bytes);
  buffer.writeInt32BE(count === 0 ? 0 : 1, 0);
  // Whether there are nulls is found out by the reader all the same.
  buffer.writeInt32BE(1, 4);
  buffer.writeInt32BE(type, 8);
  if (count > 0) {
    buffer.writeInt32BE(count, 12);
    buffer.writeInt32BE(1, 16);
  }
  return buffer;
}

/** bigint[]; whole numbers up to 2^53. */
export function bigints(values: readonly (number | null)[]): Buffer {
  const nulls = values.reduce<number>((sum, value) => (value === null ? sum + 1 : sum), 0);
  const buffer = start(INT8, values.length, 8 * (values.length - nulls));
  let at = HEAD_BYTES;
  for (const value of values) {
    at = buffer.writeInt32BE(value === null ? -1 : 8, at);
    if (value === null) continue;
    const high = Math.floor(value / 0x1_0000_0000);
    at = buffer.writeInt32BE(high, at);
    at = buffer.writeUInt32BE(value - high * 0x1_0000_0000, at);
  }
  return buffer;
}

/** smallint[]. */
export function smallints(values: readonly number[]): Buffer {
  const buffer = start(INT2, values.length, 2 * values.length);
  let at = HEAD_BYTES;
  for (const value of values) at = buffer.writeInt16BE(value, buffer.writeInt32BE(2, at));
  return buffer;
}

/** boolean[]. */
export function booleans(values: readonly boolean[]): Buffer {
  const buffer = start(BOOL, values.length, values.length);
  let at = HEAD_BYTES;
  for (const value of values) at = buffer.writeUInt8(value ? 1 : 0, buffer.writeInt32BE(1, at));
  return buffer;
}

/** text[]. */
export function texts(values: readonly string[]): Buffer {
  let bytes = 0;
  for (const value of values) bytes += Buffer.byteLength(value);
  const buffer = start(TEXT, values.length, bytes);
  let at = HEAD_BYTES;
  for (const value of values) {
    const written = buffer.write(value, at + 4);
    buffer.writeInt32BE(written, at);
    at += 4 + written;
  }
  return buffer;
}
