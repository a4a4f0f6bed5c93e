/** Text of times and durations, as Go reads and writes them. */
import { CelError } from "./errors.ts";
import { Duration, Timestamp } from "./values.ts";

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
const BILLION = 1_000_000_000n;
const UNITS: Record<string, bigint> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: BILLION,
  m: 60n * BILLION,
  h: 3600n * BILLION,
};

export function parseTimestamp(text: string): Timestamp {
  const match = RFC3339.exec(text);
  const milliseconds = match ? Date.parse(text.replace(/\.\d+/, "")) : Number.NaN;
  if (Number.isNaN(milliseconds)) throw new CelError(`invalid timestamp ${JSON.stringify(text)}`);
  const fraction = BigInt((match?.[7] ?? ".0").slice(1).padEnd(9, "0"));
  return new Timestamp(BigInt(milliseconds) * 1_000_000n + fraction);
}

/** A UTC date; undefined when the text is none. */
export function parseDate(text: string): Timestamp | undefined {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return undefined;
  const milliseconds = Date.parse(`${text}T00:00:00Z`);
  return Number.isNaN(milliseconds) ? undefined : new Timestamp(BigInt(milliseconds) * 1_000_000n);
}

export function timestampText({ nanos }: Timestamp): string {
  const seconds = nanos >= 0n ? nanos / BILLION : -((-nanos + BILLION - 1n) / BILLION);
  const rest = nanos - seconds * BILLION;
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return `${whole}${rest === 0n ? "" : `.${rest.toString().padStart(9, "0").replace(/0+$/, "")}`}Z`;
}

/** "1h30m", "-1.5s", "0". */
export function parseDuration(text: string): Duration {
  const wrong = (what: string) => new CelError(`time: ${what} duration ${JSON.stringify(text)}`);
  const body = /^[+-]/.test(text) ? text.slice(1) : text;
  if (body === "0") return new Duration(0n);
  const part = /(\d*)(?:\.(\d*))?([^.\d]*)/y;
  let nanos = 0n;
  if (body === "") throw wrong("invalid");
  for (let i = 0; i < body.length; ) {
    part.lastIndex = i;
    const [all = "", whole = "", fraction = "", unit = ""] = part.exec(body) ?? [];
    if (whole === "" && fraction === "") throw wrong("invalid");
    if (unit === "") throw wrong("missing unit in");
    const size = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
    if (size === undefined) throw wrong(`unknown unit ${JSON.stringify(unit)} in`);
    const digits = fraction.slice(0, 18);
    nanos +=
      BigInt(whole || "0") * size + (digits === "" ? 0n : (BigInt(digits) * size) / 10n ** BigInt(digits.length));
    i += all.length;
  }
  return new Duration(text.startsWith("-") ? -nanos : nanos);
}

/** CEL writes durations in seconds: "5400s", "1.5s". */
export function durationText({ nanos }: Duration): string {
  const size = nanos < 0n ? -nanos : nanos;
  const rest = size % BILLION;
  const fraction = rest === 0n ? "" : `.${rest.toString().padStart(9, "0").replace(/0+$/, "")}`;
  return `${nanos < 0n ? "-" : ""}${size / BILLION}${fraction}s`;
}

/** The moment's parts in a zone: an IANA name, or "+02:00". */
export function partsIn({ nanos }: Timestamp, zone: string): Date {
  const milliseconds = Number(nanos / 1_000_000n);
  const offset = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (offset) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return new Date(milliseconds + (offset[1] === "-" ? -minutes : minutes) * 60_000);
  }
  if (zone === "UTC" || zone === "") return new Date(milliseconds);
  try {
    const shown = new Date(milliseconds).toLocaleString("sv-SE", { timeZone: zone }).replace(" ", "T");
    return new Date(Date.parse(`${shown}Z`) + (milliseconds % 1000));
  } catch {
    throw new CelError(`unknown time zone ${zone}`);
  }
}
