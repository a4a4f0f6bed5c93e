/** Follows objects of the store, beginning anew after a gap. */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Change, Store, WatchRequest } from "#platform/store/port.ts";

const RETRY_MS = 500;

export interface Followed {
  store: Store;
  scope: WatchRequest["scope"];
  signal: AbortSignal;
  log: Log;
}

/** Until the signal aborts: first what is there, as added. Each batch is waited for before the next one is read. */
export async function followed(
  { store, scope, signal, log }: Followed,
  put: (changes: readonly Change[]) => void | Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const events of store.watch({ scope, after: 0, initial: true, signal }))
        await put(events.flatMap((event) => (event.type === "change" ? [event.change] : [])));
    } catch (error) {
      if (signal.aborted) return;
      log.warn("flow control's objects could not be watched", { resource: scope.resource, error: messageOf(error) });
      await delay(RETRY_MS, signal);
    }
  }
}
