/**
 * Amounts of resources, exact: `resource.Quantity` of apimachinery. A value is a whole number of billionths (bigint),
 * the finest amount upstream keeps; anything finer rounds away from zero.
 */
export type QuantityFormat = "DecimalSI" | "BinarySI" | "DecimalExponent";

export interface Quantity {
  /** Billionths. */
  nano: bigint;
  format: QuantityFormat;
}

const NANO = 1_000_000_000n;
/** 2^63 - 1: binary amounts are capped there. */
const BINARY_MAX = 2n ** 63n - 1n;
const DECIMAL: Record<string, number> = { n: -9, u: -6, m: -3, "": 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY: Record<string, number> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
const DECIMAL_SUFFIX = new Map(Object.entries(DECIMAL).map(([suffix, exponent]) => [exponent, suffix]));
const BINARY_SUFFIX = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/** Exponents beyond this cannot be meant, and would cost memory. */
const EXPONENT_MAX = 100;

const WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const WRONG_NUMBER = "unable to parse numeric part of quantity";
const SYNTAX = /^([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]*[-+]?\d*)$/;

/** Throws an Error with upstream's message. */
export function parseQuantity(input: string | number): Quantity {
  const text = String(input).trim();
  const match = text === "" ? null : SYNTAX.exec(text);
  if (!match) throw new Error(WRONG_FORMAT);
  const [, sign = "", whole = "", fraction = "", suffix = ""] = match;
  if (whole.length + fraction.length > EXPONENT_MAX) throw new Error(WRONG_NUMBER);
  const digits = BigInt(`${whole}${fraction}` || "0");
  const { base, exponent, format } = interpret(suffix, digits === 0n);
  // Upstream reads a suffix alone as zero, but for the ones that take its slow path.
  if (whole + fraction === "" && (exponent < -9 || (base === 2 && exponent >= 50))) throw new Error(WRONG_NUMBER);
  const amount = scale(digits, base, exponent, fraction.length);
  if (format !== "BinarySI") return { nano: sign === "-" ? -amount : amount, format };
  const capped = amount > BINARY_MAX * NANO ? BINARY_MAX * NANO : amount;
  // A binary amount below one is shown as a decimal one.
  const shown = capped > 0n && capped < NANO ? "DecimalSI" : "BinarySI";
  return { nano: sign === "-" ? -capped : capped, format: shown };
}

function interpret(suffix: string, zero: boolean): { base: 2 | 10; exponent: number; format: QuantityFormat } {
  const decimal = DECIMAL[suffix];
  if (decimal !== undefined) return { base: 10, exponent: decimal, format: "DecimalSI" };
  const binary = BINARY[suffix];
  if (binary !== undefined) return { base: 2, exponent: binary, format: "BinarySI" };
  const match = /^[eE]([-+]?\d+)$/.exec(suffix);
  const exponent = Number(match?.[1]);
  if (!match || (Math.abs(exponent) > EXPONENT_MAX && !zero)) throw new Error("unable to parse quantity's suffix");
  return {
    base: 10,
    exponent: zero ? Math.max(-EXPONENT_MAX, Math.min(EXPONENT_MAX, exponent)) : exponent,
    format: "DecimalExponent",
  };
}

/** digits × base^exponent ÷ 10^places in billionths, rounded up. */
function scale(digits: bigint, base: 2 | 10, exponent: number, places: number): bigint {
  const up = exponent >= 0 ? BigInt(base) ** BigInt(exponent) : 1n;
  const down = 10n ** BigInt(places) * (exponent < 0 ? BigInt(base) ** BigInt(-exponent) : 1n);
  return (digits * up * NANO + down - 1n) / down;
}

/** The canonical text: no precision lost, no fraction, the largest suffix. */
export function formatQuantity({ nano, format }: Quantity): string {
  if (nano === 0n) return "0";
  const magnitude = nano < 0n ? -nano : nano;
  const binary = format === "BinarySI" && magnitude >= 1024n * NANO && nano % NANO === 0n;
  if (binary) {
    let mantissa = nano / NANO;
    let power = 0;
    while (mantissa % 1024n === 0n && power < BINARY_SUFFIX.length - 1) {
      mantissa /= 1024n;
      power += 1;
    }
    return `${mantissa}${BINARY_SUFFIX[power]}`;
  }
  let mantissa = nano;
  let exponent = -9;
  while (mantissa % 1000n === 0n && (format === "DecimalExponent" || exponent < 18)) {
    mantissa /= 1000n;
    exponent += 3;
  }
  if (format === "DecimalExponent") return exponent === 0 ? `${mantissa}` : `${mantissa}e${exponent}`;
  return `${mantissa}${DECIMAL_SUFFIX.get(exponent) ?? ""}`;
}

/** The text the server writes for what a client sent. Throws an Error with upstream's message. */
export const canonicalQuantity = (input: string | number): string => formatQuantity(parseQuantity(input));

/** Negative, zero or positive, as sort() wants it. */
export const compareQuantities = (a: Quantity, b: Quantity): number => (a.nano < b.nano ? -1 : a.nano > b.nano ? 1 : 0);

/** The first one's format is kept, unless it is zero. */
export const addQuantities = (a: Quantity, b: Quantity): Quantity => ({
  nano: a.nano + b.nano,
  format: a.nano === 0n ? b.format : a.format,
});

export const subtractQuantities = (a: Quantity, b: Quantity): Quantity => addQuantities(a, { ...b, nano: -b.nano });

/** Away from zero: something is never nothing. */
const divideUp = (value: bigint, by: bigint): bigint =>
  value >= 0n ? (value + by - 1n) / by : -((-value + by - 1n) / by);

/** Whole units (bytes, counts), rounded away from zero: Quantity.Value(). */
export const quantityValue = (q: Quantity): number => Number(divideUp(q.nano, NANO));

/** Thousandths (millicores), rounded away from zero: Quantity.MilliValue(). */
export const quantityMilliValue = (q: Quantity): number => Number(divideUp(q.nano, 1_000_000n));

export const quantityOf = (value: number | bigint, format: QuantityFormat = "DecimalSI"): Quantity => ({
  nano: BigInt(value) * NANO,
  format,
});
