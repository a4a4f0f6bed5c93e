/** Completion indexes, written as intervals: "1,3-5,7" (batch/v1 JobStatus.completedIndexes). Pure. */
import type { Pod } from "#sdk/api/generated/types.ts";

export const INDEX = "batch.kubernetes.io/job-completion-index";
export const INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count";

/** What is malformed or at or beyond `completions` is left out. */
export function parseIndexes(text: string | undefined, completions: number): Set<number> {
  const indexes = new Set<number>();
  for (const part of (text ?? "").split(",")) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!match) continue;
    const last = Math.min(Number(match[2] ?? match[1]), completions - 1);
    for (let index = Number(match[1]); index <= last; index++) indexes.add(index);
  }
  return indexes;
}

/** Two neighbours are written with a comma, three or more with a dash. */
export function formatIndexes(indexes: Iterable<number>): string {
  const parts: string[] = [];
  let [first, last] = [Number.NaN, Number.NaN];
  const close = () => {
    if (Number.isNaN(first)) return;
    parts.push(first === last ? `${first}` : `${first}${last === first + 1 ? "," : "-"}${last}`);
  };
  for (const index of [...indexes].sort((a, b) => a - b)) {
    if (index === last + 1) last = index;
    else {
      close();
      [first, last] = [index, index];
    }
  }
  close();
  return parts.join(",");
}

/** Undefined where the pod has none. */
export function indexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[INDEX];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** How often the index had failed before this pod. */
export const failuresBefore = (pod: Pod): number => Number(pod.metadata.annotations?.[INDEX_FAILURES] ?? 0) || 0;
