/** How long a job waits after failures: 10 s, doubled by each since the last success, at most 10 minutes. Pure. */
import type { Pod } from "#sdk/api/generated/types.ts";
import { finishedAt } from "./pods.ts";

const FIRST_MS = 10_000;
const MAX_MS = 600_000;

/** Milliseconds until a failed pod may be replaced; 0 or less: now. */
export function delayMs(failed: readonly Pod[], succeeded: readonly Pod[], now: number): number {
  const lastSuccess = Math.max(0, ...succeeded.map(finishedAt));
  const since = failed.map(finishedAt).filter((time) => time > lastSuccess);
  if (since.length === 0) return 0;
  return Math.max(...since) + Math.min(FIRST_MS * 2 ** (since.length - 1), MAX_MS) - now;
}
