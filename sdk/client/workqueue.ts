/**
 * Keys waiting for a worker (client-go util/workqueue):
 *   dirty       needs processing;   processing   a worker has it;   queue   dirty and not processing, in order.
 * A key added while it is processed waits in dirty and is queued when the worker is done: never two workers on one key,
 * and no change is missed.
 */
export interface WorkQueue {
  add(key: string): void;
  addAfter(key: string, ms: number): void;
  /** Waits 5 ms · 2^failures, at most 1000 s, before adding. */
  addRateLimited(key: string): void;
  /** The key succeeded: its next failure waits little again. */
  forget(key: string): void;
  failures(key: string): number;
  /** Undefined when the queue is shut down and empty. */
  take(): Promise<string | undefined>;
  done(key: string): void;
  length(): number;
  /** Wakes every waiting worker; adds are ignored from here on. */
  shutDown(): void;
}

export interface WorkQueueOptions {
  firstRetryMs?: number;
  lastRetryMs?: number;
}

export function createWorkQueue({ firstRetryMs = 5, lastRetryMs = 1_000_000 }: WorkQueueOptions = {}): WorkQueue {
  let queue: string[] = [];
  const dirty = new Set<string>();
  const processing = new Set<string>();
  const failures = new Map<string, number>();
  /** One timer a key: the earliest wish wins. */
  const later = new Map<string, { at: number; timer: NodeJS.Timeout }>();
  const waiting: ((key: string | undefined) => void)[] = [];
  let stopped = false;

  const push = (key: string) => {
    const worker = waiting.shift();
    if (worker) hand(key, worker);
    else queue.push(key);
  };
  const hand = (key: string, worker: (key: string | undefined) => void) => {
    dirty.delete(key);
    processing.add(key);
    worker(key);
  };
  const add = (key: string) => {
    if (stopped || dirty.has(key)) return;
    dirty.add(key);
    if (!processing.has(key)) push(key);
  };
  const addAfter = (key: string, ms: number) => {
    if (stopped) return;
    if (ms <= 0) return add(key);
    const at = performance.now() + ms;
    const present = later.get(key);
    if (present && present.at <= at) return;
    if (present) clearTimeout(present.timer);
    const fire = () => {
      later.delete(key);
      add(key);
    };
    later.set(key, { at, timer: setTimeout(fire, Math.min(ms, 2 ** 31 - 1)) });
  };

  return {
    add,
    addAfter,
    addRateLimited(key) {
      const count = failures.get(key) ?? 0;
      failures.set(key, count + 1);
      addAfter(key, Math.min(firstRetryMs * 2 ** Math.min(count, 30), lastRetryMs));
    },
    forget: (key) => void failures.delete(key),
    failures: (key) => failures.get(key) ?? 0,
    take() {
      const key = queue.shift();
      if (key === undefined && stopped) return Promise.resolve(undefined);
      return new Promise((resolve) => {
        if (key === undefined) waiting.push(resolve);
        else hand(key, resolve);
      });
    },
    done(key) {
      processing.delete(key);
      if (dirty.has(key)) push(key);
    },
    length: () => queue.length,
    shutDown() {
      stopped = true;
      for (const { timer } of later.values()) clearTimeout(timer);
      later.clear();
      queue = [];
      dirty.clear();
      for (const worker of waiting.splice(0)) worker(undefined);
    },
  };
}
