/** UTF-8 and base64 for guests: QuickJS has neither TextEncoder nor Buffer. */

export function utf8Encode(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  let at = 0;
  for (const character of text) {
    let code = character.codePointAt(0) ?? 0;
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
    if (code < 0x80) bytes[at++] = code;
    else if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6);
      bytes[at++] = 0x80 | (code & 63);
    } else if (code < 0x10000) {
      bytes[at++] = 0xe0 | (code >> 12);
      bytes[at++] = 0x80 | ((code >> 6) & 63);
      bytes[at++] = 0x80 | (code & 63);
    } else {
      bytes[at++] = 0xf0 | (code >> 18);
      bytes[at++] = 0x80 | ((code >> 12) & 63);
      bytes[at++] = 0x80 | ((code >> 6) & 63);
      bytes[at++] = 0x80 | (code & 63);
    }
  }
  return bytes.slice(0, at);
}

/** How many bytes a lead byte announces beyond itself, and the smallest code point that may need them. */
const lengths: [mask: number, lead: number, more: number, least: number][] = [
  [0xe0, 0xc0, 1, 0x80],
  [0xf0, 0xe0, 2, 0x800],
  [0xf8, 0xf0, 3, 0x10000],
];

/** Invalid sequences become U+FFFD. */
export function utf8Decode(bytes: Uint8Array): string {
  const parts: string[] = [];
  let chunk: number[] = [];
  for (let i = 0; i < bytes.length; ) {
    const [code, size] = codePointAt(bytes, i);
    chunk.push(code);
    i += size;
    if (chunk.length === 4096) {
      parts.push(String.fromCodePoint(...chunk));
      chunk = [];
    }
  }
  parts.push(String.fromCodePoint(...chunk));
  return parts.join("");
}

function codePointAt(bytes: Uint8Array, at: number): [code: number, size: number] {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return [lead, 1];
  for (const [mask, pattern, more, least] of lengths) {
    if ((lead & mask) !== pattern) continue;
    let code = lead & ~mask & 0xff;
    for (let i = 1; i <= more; i++) {
      const next = bytes[at + i] ?? 0;
      if ((next & 0xc0) !== 0x80) return [0xfffd, i];
      code = (code << 6) | (next & 63);
    }
    const bad = code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff);
    return [bad ? 0xfffd : code, more + 1];
  }
  return [0xfffd, 1];
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const values = new Map([...alphabet].map((character, value) => [character, value]));

export function base64Encode(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const word = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += alphabet[word >> 18];
    text += alphabet[(word >> 12) & 63];
    text += left > 1 ? alphabet[(word >> 6) & 63] : "=";
    text += left > 2 ? alphabet[word & 63] : "=";
  }
  return text;
}

export function base64Decode(text: string): Uint8Array {
  const clean = text.replace(/=+$/, "");
  const bytes = new Uint8Array(Math.floor((clean.length * 3) / 4));
  let word = 0;
  let bits = 0;
  let at = 0;
  for (const character of clean) {
    word = ((word << 6) | (values.get(character) ?? 0)) & 0xffffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (word >> bits) & 0xff;
    }
  }
  return bytes;
}
