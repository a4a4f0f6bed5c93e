/** Many small events as few messages. */

const WAIT_MS = 10;
const TICK = Symbol("tick");

/**
 * Yields what has arrived, at most `max` at once, waiting a moment (10 ms) for more. Reads no further than one batch and
 * one event ahead of its consumer.
 */
export async function* batches<T>(source: AsyncIterable<T>, max: number): AsyncGenerator<T[]> {
  const events = source[Symbol.asyncIterator]();
  const ask = () => {
    const next = events.next();
    next.catch(() => undefined);
    return next;
  };
  let pending = ask();
  try {
    for (;;) {
      const first = await pending;
      if (first.done) return;
      const batch = [first.value];
      pending = ask();
      while (batch.length < max) {
        const more = await Promise.race([pending.catch(() => TICK), tick()]);
        if (typeof more === "symbol" || more.done) break;
        batch.push(more.value);
        pending = ask();
      }
      yield batch;
    }
  } finally {
    // Not awaited: a source that waits for its next event returns only when its own signal ends it.
    void events.return?.().catch(() => undefined);
  }
}

const tick = (): Promise<typeof TICK> => new Promise((resolve) => setTimeout(resolve, WAIT_MS, TICK));
