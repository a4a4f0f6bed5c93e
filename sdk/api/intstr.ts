/** `IntOrString`: a number, or text that is a name or a percentage ("25%"). */
export type IntOrString = number | string;

/** "80" → 80, "http" → "http": as intstr.Parse. */
export function parseIntOrString(text: string): IntOrString {
  const value = Number(text);
  return /^[+-]?\d+$/.test(text) && value >= -(2 ** 31) && value < 2 ** 31 ? value : text;
}

/** The number of a whole percentage, or undefined for anything else. */
export function percentOf(value: IntOrString): number | undefined {
  const match = typeof value === "string" ? /^([+-]?\d+)%$/.exec(value) : null;
  return match ? Number(match[1]) : undefined;
}

/**
 * A count or a share of `total`. Throws an Error with upstream's wording for text that is no percentage.
 * maxSurge rounds up, maxUnavailable rounds down.
 */
export function scaledValue(value: IntOrString, total: number, roundUp: boolean): number {
  if (typeof value === "number") return value;
  const percent = percentOf(value);
  if (percent === undefined) {
    const why = value.endsWith("%")
      ? `invalid value "${value}": not a number`
      : "invalid type: string is not a percentage";
    throw new Error(`invalid value for IntOrString: ${why}`);
  }
  const exact = (percent * total) / 100;
  return roundUp ? Math.ceil(exact) : Math.floor(exact);
}
