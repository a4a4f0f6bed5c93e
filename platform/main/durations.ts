/** Durations as Go writes them: "2m", "1h30m", "500ms". */
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** In milliseconds; `otherwise` for what is not given. Throws Error for what is no duration. */
export function millisecondsOf(text: string | undefined, otherwise: number): number {
  if (text === undefined || text === "") return otherwise;
  if (text === "0") return 0;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text))
    throw new Error(`${JSON.stringify(text)} is no duration such as 2m or 30s`);
  return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (UNITS[unit ?? ""] ?? 0),
    0,
  );
}
