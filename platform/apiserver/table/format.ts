/** How upstream's tables write ages, selectors, lists and absent values. */
import type { LabelSelector, PodSpec } from "#sdk/api/generated/types.ts";
import { formatLabelSelector, labelRequirements } from "#sdk/api/labels.ts";

export const NONE = "<none>";
export const UNSET = "<unset>";
export const UNKNOWN = "<unknown>";

/** A duration in two or three figures: "5s", "3m20s", "7h", "2d4h" (apimachinery's HumanDuration). */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000);
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return `${seconds}s`;
  const two = (big: number, bigUnit: string, small: number, smallUnit: string) =>
    small === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${small}${smallUnit}`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes < 10) return two(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.trunc(minutes / 60);
  if (hours < 8) return two(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  const days = Math.trunc(hours / 24);
  if (hours < 192) return two(days, "d", hours % 24, "h");
  if (days < 730) return `${days}d`;
  const years = Math.trunc(days / 365);
  return days < 2920 ? two(years, "y", days % 365, "d") : `${years}y`;
}

/** Time since an RFC 3339 time; unset or null: "<unknown>". */
export function since(time: string | null | undefined, now: number): string {
  return time ? humanDuration(now - Date.parse(time)) : UNKNOWN;
}

export function labelsText(labels: Record<string, string> | undefined | null): string {
  const text = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
  return text.length === 0 ? NONE : text.sort().join(",");
}

/** `empty` is written for a selector that is unset or selects everything, `invalid` for one that cannot be read. */
export function selectorText(selector: LabelSelector | undefined | null, empty: string, invalid: string): string {
  try {
    return formatLabelSelector(labelRequirements(selector) ?? []) || empty;
  } catch {
    return invalid;
  }
}

/** Names and images of a template's containers. */
export function containerCells(spec: PodSpec | undefined): [names: string, images: string] {
  const containers = spec?.containers ?? [];
  return [containers.map((c) => c.name).join(","), containers.map((c) => c.image ?? "").join(",")];
}

/** At most `max` of them, then "a,b,c + 2 more...". */
export function listWithMore(items: readonly string[], max: number, empty: string): string {
  const shown = items.slice(0, max).join(",");
  if (shown === "") return empty;
  return items.length > max ? `${shown} + ${items.length - max} more...` : shown;
}

const MODES: [string, string][] = [
  ["ReadWriteOnce", "RWO"],
  ["ReadOnlyMany", "ROX"],
  ["ReadWriteMany", "RWX"],
  ["ReadWriteOncePod", "RWOP"],
];

export const accessModes = (modes: readonly string[] | undefined | null): string =>
  MODES.filter(([mode]) => modes?.includes(mode))
    .map(([, short]) => short)
    .join(",");

export const boolText = (value: boolean | undefined): string =>
  value === undefined ? UNSET : value ? "True" : "False";
