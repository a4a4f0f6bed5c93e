/** Figures of repeated, interleaved runs, as ratios with their spread. */
import type { Figure } from "./scenarios.ts";

/** Each side's value in one repetition; the pair was measured one after the other on the same machine. */
export interface Pair {
  ours: number;
  theirs: number | undefined;
}

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);
export const median = (values: readonly number[]): number => {
  const all = sorted(values);
  const middle = all.length >> 1;
  return all.length % 2 ? (all[middle] ?? Number.NaN) : ((all[middle - 1] ?? 0) + (all[middle] ?? 0)) / 2;
};

const MIB = 1024 ** 2;
function shown(figure: Figure, value: number): string {
  if (figure.of === "bytes_each") return `${(value / 1024).toFixed(0)} KiB`;
  if (figure.of === "bytes" || figure.of === "peak_bytes") return `${(value / MIB).toFixed(0)} MiB`;
  if (figure.of === "p99_ms") return `${value.toFixed(1)} ms`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

/** True when the target holds for the median. Errors are counted, not compared. */
export function reached(figure: Figure, pairs: readonly Pair[]): boolean | undefined {
  const { target = Number.NaN, limit } = figure;
  const own = median(pairs.map(({ ours }) => ours));
  if (limit !== undefined) return own <= limit;
  if (figure.of === "errors") return own <= target;
  const ratios = pairs.flatMap(({ ours, theirs }) => (theirs ? [ours / theirs] : []));
  if (ratios.length === 0 || Number.isNaN(target)) return undefined;
  return figure.of === "per_second" ? median(ratios) >= target : median(ratios) <= target;
}

const goal = (figure: Figure): string => {
  if (figure.limit !== undefined) return `≤${shown(figure, figure.limit)}`;
  if (figure.target === undefined) return "-";
  if (figure.of === "errors") return String(figure.target);
  return `${figure.of === "per_second" ? "≥" : "≤"}${figure.target}×`;
};

/** One row of the Markdown table: ours, theirs, ratio (median, least and most), target. */
export function row(figure: Figure, pairs: readonly Pair[]): string {
  const ratios = pairs.flatMap(({ ours, theirs }) => (theirs ? [ours / theirs] : []));
  const [low, high] = [Math.min(...ratios), Math.max(...ratios)];
  const ratio = ratios.length ? `${median(ratios).toFixed(2)}× (${low.toFixed(2)}–${high.toFixed(2)})` : "-";
  const theirs = pairs.flatMap((pair) => (pair.theirs === undefined ? [] : [pair.theirs]));
  const verdict = { true: "reached", false: "missed", undefined: "-" }[String(reached(figure, pairs))];
  return `| ${figure.name} | ${shown(figure, median(pairs.map(({ ours }) => ours)))} | ${
    theirs.length ? shown(figure, median(theirs)) : "-"
  } | ${ratio} | ${goal(figure)} | ${verdict} |`;
}

export const HEADER = "| | Capstan | original | ratio: median (least–most) | target | |\n|---|---|---|---|---|---|";
