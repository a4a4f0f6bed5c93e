/** Protobuf from the end to the beginning: no length has to be known before what it is of. */
const START_BYTES = 4096;

/** Fills a buffer from its end. */
export class Writer {
  #bytes = Buffer.allocUnsafe(START_BYTES);
  at = START_BYTES;

  #room(count: number): void {
    if (this.at >= count) return;
    const used = this.#bytes.length - this.at;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, used + count));
    this.#bytes.copy(grown, grown.length - used, this.at);
    this.at = grown.length - used;
    this.#bytes = grown;
  }

  /** Distance from the end: a place that stays the same when the buffer grows. */
  get mark(): number {
    return this.#bytes.length - this.at;
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[--this.at] = value;
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.at -= bytes.length;
    this.#bytes.set(bytes, this.at);
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.#room(length);
    this.at -= length;
    this.#bytes.write(value, this.at, length, "utf8");
  }

  /** A whole number; negative ones take ten bytes, as protobuf's int32 and int64. */
  varint(value: number): void {
    if (value >= 0 && value < 128) {
      this.byte(value);
      return;
    }
    const bytes: number[] = [];
    if (value >= 0) {
      for (let rest = value; ; rest = Math.floor(rest / 128)) {
        if (rest < 128) {
          bytes.push(rest);
          break;
        }
        bytes.push((rest % 128) | 128);
      }
    } else {
      for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
        if (rest < 128n) {
          bytes.push(Number(rest));
          break;
        }
        bytes.push(Number(rest & 127n) | 128);
      }
    }
    this.raw(Uint8Array.from(bytes));
  }

  double(value: number): void {
    this.#room(8);
    this.at -= 8;
    this.#bytes.writeDoubleLE(value, this.at);
  }

  /** The tag of a field that was begun at `mark`: length-delimited. */
  close(number: number, mark: number): void {
    this.varint(this.mark - mark);
    this.varint(number * 8 + 2);
  }

  /** What was written; the writer begins anew. */
  take(): Buffer {
    const whole = Buffer.from(this.#bytes.subarray(this.at));
    if (this.#bytes.length > 1 << 20) this.#bytes = Buffer.allocUnsafe(START_BYTES);
    this.at = this.#bytes.length;
    return whole;
  }
}

export const textField = (w: Writer, number: number, text: string) => {
  const mark = w.mark;
  w.text(text);
  w.close(number, mark);
};
export const wholeField = (w: Writer, number: number, value: number) => {
  w.varint(value);
  w.varint(number * 8);
};
