/** The part of a structured log that the client's loops need; platform/base/log.ts and `console`-like adapters fit it. */
export interface ClientLog {
  debug(message: string, fields?: Record<string, string | number | boolean | null | undefined>): void;
  warn(message: string, fields?: Record<string, string | number | boolean | null | undefined>): void;
}

export const noLog: ClientLog = { debug: () => undefined, warn: () => undefined };

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Resolves after `ms`, or at once (without error) when the signal aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.max(0, ms));
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** Waits that double from `firstMs` to `mostMs`, spread by half so that many waiters don't come back together. */
export function createBackoff(firstMs: number, mostMs: number): { nextMs(): number; reset(): void } {
  let failures = 0;
  return {
    nextMs: () => Math.min(firstMs * 2 ** Math.min(failures++, 20), mostMs) * (0.75 + Math.random() / 2),
    reset: () => {
      failures = 0;
    },
  };
}
