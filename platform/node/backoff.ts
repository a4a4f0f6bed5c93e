/** Exponential back-off by key, as client-go's flowcontrol.Backoff: 10 s doubling to 5 min, forgotten after twice the maximum. */
export const BACKOFF_FIRST_MS = 10_000;
export const BACKOFF_MAX_MS = 300_000;

export interface Backoffs {
  /** Still waiting, `since` the last failure (default: the last `next`). */
  waiting(key: string, now: number, since?: number): boolean;
  /** Milliseconds of the wait that was last set; 0: none. */
  get(key: string): number;
  /** Lengthens the wait. */
  next(key: string, now: number): void;
  reset(key: string): void;
  /** Every key that begins with this. */
  forget(prefix: string): void;
}

export function createBackoffs(): Backoffs {
  const entries = new Map<string, { ms: number; at: number }>();
  return {
    waiting(key, now, since) {
      const entry = entries.get(key);
      return entry !== undefined && now - (since ?? entry.at) < entry.ms;
    },
    get: (key) => entries.get(key)?.ms ?? 0,
    next(key, now) {
      const entry = entries.get(key);
      const fresh = entry === undefined || now - entry.at > 2 * BACKOFF_MAX_MS;
      entries.set(key, { ms: fresh ? BACKOFF_FIRST_MS : Math.min(entry.ms * 2, BACKOFF_MAX_MS), at: now });
    },
    reset: (key) => void entries.delete(key),
    forget(prefix) {
      for (const key of entries.keys()) if (key.startsWith(prefix)) entries.delete(key);
    },
  };
}
