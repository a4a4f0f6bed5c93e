/** Kubernetes' ip and cidr libraries. */
import { isIP } from "node:net";
import { CelError } from "../errors.ts";
import { BOOL, INT, opaque, STRING } from "../types.ts";
import { OpaqueValue, sizeOf } from "../values.ts";
import { type CelFunction, global, method, walk } from "./function.ts";

const IP = opaque("net.IP");
const CIDR = opaque("net.CIDR");

function bytesOf(text: string): number[] {
  if (isIP(text) === 4) return text.split(".").map(Number);
  const four = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const [a = 0, b = 0, c = 0, d = 0] = four ? (four[2] ?? "").split(".").map(Number) : [];
  const plain = four ? `${four[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}` : text;
  const [head = "", tail] = plain.split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":").map((g) => Number.parseInt(g, 16)));
  const [left, right] = [groups(head), tail === undefined ? [] : groups(tail)];
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  return all.flatMap((g) => [g >> 8, g & 255]);
}

function text6(bytes: readonly number[]): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  let best = { at: -1, length: 1 };
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > best.length) best = { at: i, length };
  }
  const hex = (part: readonly number[]) => part.map((g) => g.toString(16)).join(":");
  if (best.at < 0) return hex(groups);
  return `${hex(groups.slice(0, best.at))}::${hex(groups.slice(best.at + best.length))}`;
}

export class IpValue extends OpaqueValue {
  readonly typeName = "net.IP";
  readonly bytes: readonly number[];
  constructor(bytes: readonly number[]) {
    super();
    this.bytes = bytes;
  }
  get four(): boolean {
    return this.bytes.length === 4;
  }
  equals(other: OpaqueValue): boolean {
    return other.toString() === this.toString();
  }
  toString(): string {
    return this.four ? this.bytes.join(".") : text6(this.bytes);
  }
}

class CidrValue extends OpaqueValue {
  readonly typeName = "net.CIDR";
  readonly ip: IpValue;
  readonly length: number;
  constructor(ip: IpValue, length: number) {
    super();
    this.ip = ip;
    this.length = length;
  }
  equals(other: OpaqueValue): boolean {
    return other.toString() === this.toString();
  }
  toString(): string {
    return `${this.ip}/${this.length}`;
  }
}

function parseIp(text: string): IpValue {
  const invalid = (why: string) => new CelError(`IP Address ${JSON.stringify(text)} ${why}`);
  if (isIP(text) === 0 || text.includes("%")) throw invalid("parse error during conversion from string");
  if (/^::ffff:\d/i.test(text)) throw invalid("IPv4-mapped IPv6 address is not allowed");
  if (isIP(text) === 4 && /(^|\.)0\d/.test(text)) throw invalid("parse error during conversion from string");
  return new IpValue(bytesOf(text));
}

function parseCidr(text: string): CidrValue {
  const match = /^(.+)\/(0|[1-9]\d{0,2})$/.exec(text);
  const address = match?.[1] ?? "";
  const bits = isIP(address) === 4 ? 32 : 128;
  if (!match || isIP(address) === 0 || Number(match[2]) > bits) {
    throw new CelError(`network address parse error during conversion from string: ${JSON.stringify(text)}`);
  }
  return new CidrValue(parseIp(address), Number(match[2]));
}

const masked = (bytes: readonly number[], length: number): number[] =>
  bytes.map((b, i) => b & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))) & 0xff);

const parses = (parse: (text: string) => unknown) => (text: string) => {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
};

const contains = (net: CidrValue, ip: IpValue): boolean =>
  net.ip.bytes.length === ip.bytes.length &&
  masked(net.ip.bytes, net.length).join() === masked(ip.bytes, net.length).join();
const containsNet = (net: CidrValue, other: CidrValue): boolean =>
  net.length <= other.length && contains(net, other.ip);

const loopback = (ip: IpValue) => (ip.four ? ip.bytes[0] === 127 : ip.toString() === "::1");
const unspecified = (ip: IpValue) => ip.bytes.every((b) => b === 0);
const linkLocalMulticast = (ip: IpValue) =>
  ip.four
    ? ip.bytes[0] === 224 && ip.bytes[1] === 0 && ip.bytes[2] === 0
    : ip.bytes[0] === 0xff && ((ip.bytes[1] ?? 0) & 0x0f) === 2;
const linkLocalUnicast = (ip: IpValue) =>
  ip.four ? ip.bytes[0] === 169 && ip.bytes[1] === 254 : ip.bytes[0] === 0xfe && ((ip.bytes[1] ?? 0) & 0xc0) === 0x80;
const multicast = (ip: IpValue) => (ip.four ? ((ip.bytes[0] ?? 0) & 0xf0) === 0xe0 : ip.bytes[0] === 0xff);
const global_ = (ip: IpValue) =>
  !unspecified(ip) && !loopback(ip) && !multicast(ip) && !linkLocalUnicast(ip) && ip.bytes.join() !== "255,255,255,255";

const walked: CelFunction["cost"] = ([text]) => walk(sizeOf(text));

export const addresses: readonly CelFunction[] = [
  global("ip", [STRING], IP, parseIp, walked),
  global("isIP", [STRING], BOOL, parses(parseIp), walked),
  global("ip.isCanonical", [STRING], BOOL, (text: string) => parseIp(text).toString() === text, walked),
  method("family", [IP], INT, (ip: IpValue) => (ip.four ? 4n : 6n)),
  method("isUnspecified", [IP], BOOL, unspecified),
  method("isLoopback", [IP], BOOL, loopback),
  method("isLinkLocalMulticast", [IP], BOOL, linkLocalMulticast),
  method("isLinkLocalUnicast", [IP], BOOL, linkLocalUnicast),
  method("isGlobalUnicast", [IP], BOOL, global_),
  global("string", [IP], STRING, String),
  global("cidr", [STRING], CIDR, parseCidr, walked),
  global("isCIDR", [STRING], BOOL, parses(parseCidr), walked),
  method("containsIP", [CIDR, STRING], BOOL, (net: CidrValue, ip: string) => contains(net, parseIp(ip)), walked),
  method("containsIP", [CIDR, IP], BOOL, contains, walked),
  method("containsCIDR", [CIDR, STRING], BOOL, (net: CidrValue, o: string) => containsNet(net, parseCidr(o)), walked),
  method("containsCIDR", [CIDR, CIDR], BOOL, containsNet, walked),
  method("ip", [CIDR], IP, (net: CidrValue) => net.ip),
  method("prefixLength", [CIDR], INT, (net: CidrValue) => BigInt(net.length)),
  method(
    "masked",
    [CIDR],
    CIDR,
    (net: CidrValue) => new CidrValue(new IpValue(masked(net.ip.bytes, net.length)), net.length),
  ),
  global("string", [CIDR], STRING, String),
];
