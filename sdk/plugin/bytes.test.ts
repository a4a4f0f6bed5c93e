import assert from "node:assert/strict";
import { test } from "node:test";
import { base64Decode, base64Encode, utf8Decode, utf8Encode } from "./bytes.ts";

const texts = ["", "a", "é", "€", "🚢", "mixed é€🚢 text", "x".repeat(10_000), "\u0000"];

test("UTF-8 goes there and back as TextEncoder has it", () => {
  for (const text of texts) {
    const bytes = utf8Encode(text);
    assert.deepEqual(bytes, new TextEncoder().encode(text));
    assert.equal(utf8Decode(bytes), text);
  }
});

test("what is no UTF-8 becomes the replacement character, and the rest stays", () => {
  for (const bytes of [
    [0xff, 0x61],
    [0xc0, 0xaf, 0x61],
    [0xe2, 0x82, 0x61],
    [0xed, 0xa0, 0x80, 0x61],
  ]) {
    assert.match(utf8Decode(new Uint8Array(bytes)), /^\ufffd+a$/);
  }
  assert.equal(utf8Decode(utf8Encode("a\ud800b")), "a\ufffdb");
});

test("base64 goes there and back as Buffer has it", () => {
  for (const text of texts) {
    const bytes = utf8Encode(text);
    assert.equal(base64Encode(bytes), Buffer.from(bytes).toString("base64"));
    assert.deepEqual(base64Decode(base64Encode(bytes)), bytes);
  }
});
