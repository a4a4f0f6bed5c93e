/** PKCS#10 requests (RFC 2986) and PEM (RFC 7468), as far as the server must read them: what is signed, by which key, and the signature. */

export interface PemBlock {
  type: string;
  /** The block carries headers before its bytes. */
  headers: boolean;
  bytes: Buffer;
}

const PEM = /-----BEGIN ([^-\r\n]+)-----\s*([\s\S]*?)-----END \1-----/g;

export function pemBlocks(text: string): PemBlock[] {
  return [...text.matchAll(PEM)].map(([, type = "", body = ""]) => ({
    type,
    headers: body.includes(":"),
    bytes: Buffer.from(body.replace(/[^A-Za-z0-9+/=]/g, ""), "base64"),
  }));
}

interface Der {
  tag: number;
  /** With tag and length. */
  whole: Buffer;
  content: Buffer;
}

/** One element of DER (X.690) and where it ends; undefined for what is none. */
function element(bytes: Buffer, at: number): { der: Der; end: number } | undefined {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  if (tag === undefined || first === undefined) return undefined;
  const count = first < 0x80 ? 0 : first & 0x7f;
  if (count > 4 || at + 2 + count > bytes.length) return undefined;
  const length = first < 0x80 ? first : count === 0 ? -1 : bytes.readUIntBE(at + 2, count);
  const start = at + 2 + count;
  if (length < 0 || start + length > bytes.length) return undefined;
  return {
    der: { tag, whole: bytes.subarray(at, start + length), content: bytes.subarray(start, start + length) },
    end: start + length,
  };
}

function children(bytes: Buffer): Der[] | undefined {
  const out: Der[] = [];
  for (let at = 0; at < bytes.length; ) {
    const next = element(bytes, at);
    if (!next) return undefined;
    out.push(next.der);
    at = next.end;
  }
  return out;
}

/** Object identifiers of signature algorithms, in hex of their DER content, and the hash each takes. */
const HASHES: Readonly<Record<string, string>> = {
  "2a864886f70d010105": "sha1",
  "2a864886f70d01010b": "sha256",
  "2a864886f70d01010c": "sha384",
  "2a864886f70d01010d": "sha512",
  "2a8648ce3d040302": "sha256",
  "2a8648ce3d040303": "sha384",
  "2a8648ce3d040304": "sha512",
};
const ED25519 = "2b6570";

export interface RequestParts {
  signed: Buffer;
  /** SubjectPublicKeyInfo. */
  publicKey: Buffer;
  signature: Buffer;
  /** Null for a key that hashes by itself (Ed25519). */
  hash: string | null;
}

export function requestParts(bytes: Buffer): RequestParts | undefined {
  const whole = element(bytes, 0);
  const [info, algorithm, signature] = (whole && children(whole.der.content)) ?? [];
  if (!info || !algorithm || !signature) return undefined;
  const publicKey = children(info.content)?.[2];
  const oid = children(algorithm.content)?.[0]?.content.toString("hex");
  if (!publicKey || oid === undefined) return undefined;
  const hash = oid === ED25519 ? null : HASHES[oid];
  if (hash === undefined) return undefined;
  // The first byte of a bit string counts its unused bits.
  return { signed: info.whole, publicKey: publicKey.whole, signature: signature.content.subarray(1), hash };
}

const ORGANIZATION = "55040a";
const COMMON_NAME = "550403";

/** Values of one attribute of a request's subject; `base64` is the PEM as the API carries it. */
function subjectOf(base64: string, attribute: string): string[] {
  const [block] = pemBlocks(Buffer.from(base64, "base64").toString("latin1"));
  const whole = block && element(block.bytes, 0);
  const info = whole && children(whole.der.content)?.[0];
  const subject = info && children(info.content)?.[1];
  const names = subject ? (children(subject.content) ?? []) : [];
  const parts = names.flatMap((set) => children(set.content) ?? []);
  return parts.flatMap((part) => {
    const [type, value] = children(part.content) ?? [];
    return type?.content.toString("hex") === attribute && value ? [value.content.toString("utf8")] : [];
  });
}

export const organizationsOf = (base64: string): string[] => subjectOf(base64, ORGANIZATION);
/** The last one stands, as Go reads names. */
export const commonNameOf = (base64: string): string => subjectOf(base64, COMMON_NAME).at(-1) ?? "";
