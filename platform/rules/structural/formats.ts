/** The formats that schemas of custom resources check; others are ignored, as upstream does. */
import { isIP } from "node:net";

const UUID = (version?: number) =>
  new RegExp(
    `^[0-9a-f]{8}-?[0-9a-f]{4}-?${version ?? "[0-9a-f]"}[0-9a-f]{3}-?${version && version > 3 ? "[89ab]" : "[0-9a-f]"}[0-9a-f]{3}-?[0-9a-f]{12}$`,
    "i",
  );
const HOST =
  /^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z0-9-\p{L}]){2,63})$/u;
const CREDIT =
  /^(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})\d{11})$/;
const DURATION = /^[+-]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/;
const WORDS_DURATION =
  /^\d+\s*(ns|nano|us|µs|micro|ms|milli|s|sec|seconds?|m|min|minutes?|h|hr|hours?|d|day|days|w|wk|weeks?)$/i;
const RFC3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

function isUri(text: string): boolean {
  if (/\s/.test(text)) return false;
  return text.startsWith("/") || URL.canParse(text);
}

function isCidr(text: string): boolean {
  const [address = "", length = "", ...rest] = text.split("/");
  const bits = isIP(address) === 4 ? 32 : 128;
  return rest.length === 0 && isIP(address) !== 0 && /^\d{1,3}$/.test(length) && Number(length) <= bits;
}

const isbn10 = (t: string) =>
  /^\d{9}[\dXx]$/.test(t) &&
  [...t].reduce((sum, c, i) => sum + (/x/i.test(c) ? 10 : Number(c)) * (10 - i), 0) % 11 === 0;
const isbn13 = (t: string) =>
  /^\d{13}$/.test(t) && [...t].reduce((sum, c, i) => sum + Number(c) * (i % 2 ? 3 : 1), 0) % 10 === 0;
const bare = (t: string) => t.replace(/[\s-]/g, "");

const CHECKS: Record<string, (text: string) => boolean> = {
  bsonobjectid: (t) => /^[0-9a-f]{24}$/i.test(t),
  uri: isUri,
  email: (t) => /^[^\s@<>]+@[^\s@<>]+$/.test(t),
  hostname: (t) => t.length <= 255 && HOST.test(t),
  ipv4: (t) => isIP(t) === 4,
  ipv6: (t) => isIP(t) === 6,
  cidr: isCidr,
  mac: (t) =>
    /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$|^([0-9a-f]{4}\.){2}[0-9a-f]{4}$|^([0-9a-f]{2}[:-]){7}[0-9a-f]{2}$/i.test(t),
  uuid: (t) => UUID().test(t),
  uuid3: (t) => UUID(3).test(t),
  uuid4: (t) => UUID(4).test(t),
  uuid5: (t) => UUID(5).test(t),
  isbn: (t) => isbn10(bare(t)) || isbn13(bare(t)),
  isbn10: (t) => isbn10(bare(t)),
  isbn13: (t) => isbn13(bare(t)),
  creditcard: (t) => CREDIT.test(bare(t)),
  ssn: (t) => /^\d{3}[- ]?\d{2}[- ]?\d{4}$/.test(t),
  hexcolor: (t) => /^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/.test(t),
  rgbcolor: (t) => /^rgb\(\s*(\d{1,3}%?\s*,\s*){2}\d{1,3}%?\s*\)$/.test(t),
  byte: (t) => t.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(t),
  date: (t) => /^\d{4}-\d\d-\d\d$/.test(t) && !Number.isNaN(Date.parse(`${t}T00:00:00Z`)),
  duration: (t) => t === "0" || DURATION.test(t) || WORDS_DURATION.test(t),
  datetime: (t) => RFC3339.test(t) && !Number.isNaN(Date.parse(t.replace(" ", "T"))),
  "k8s-short-name": (t) => t.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(t),
  "k8s-long-name": (t) =>
    t.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(t),
};

/** Numeric and free formats that say nothing about text. */
const KNOWN = new Set(["password", "int32", "int64", "float", "double", "int-or-string", "date-time"]);

const checkOf = (format: string) => {
  const name = format === "date-time" ? "datetime" : format;
  return Object.hasOwn(CHECKS, name) ? CHECKS[name] : undefined;
};

export const hasFormat = (format: string, text: string): boolean => checkOf(format)?.(text) ?? true;
export const isKnownFormat = (format: string): boolean => KNOWN.has(format) || checkOf(format) !== undefined;
