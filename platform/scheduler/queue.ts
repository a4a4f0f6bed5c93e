/**
 * Pods waiting for a node (upstream: pkg/scheduler/backend/queue):
 *   active         next in order of priority, then of arrival
 *   backoff        failed lately; becomes active when its time comes
 *   unschedulable  nothing fits; moved by an event that may change that, or after five minutes
 *   in flight      being decided about; an event meanwhile makes it try again at once it fails
 */
import type { Pod } from "#sdk/api/generated/types.ts";

export interface QueuedPod {
  key: string;
  pod: Pod;
  attempts: number;
  /** When it was first queued, by performance.now(). */
  arrived: number;
}

export interface SchedulingQueue {
  /** New or changed: a change of the pod itself may have made it schedulable. */
  put(key: string, pod: Pod): void;
  remove(key: string): void;
  /** Waits for the next one; undefined after close. The taker must call done or failed. */
  take(): Promise<QueuedPod | undefined>;
  /** The next one if it is there and passes the test; as if it had been taken. */
  takeIf(test: (item: QueuedPod) => boolean): QueuedPod | undefined;
  /** This one, wherever it waits; as if it had been taken. */
  takeKey(key: string): QueuedPod | undefined;
  /** It was taken and not decided about: it is the next again. */
  giveBack(item: QueuedPod): void;
  /** It has a node, or is no longer ours. */
  done(key: string): void;
  /** `retry`: the failure has nothing to do with the nodes (a lost race, an error), so only time is awaited. */
  failed(item: QueuedPod, retry: boolean): void;
  /** Something happened that may make room: all that wait for it are tried again. */
  moveAll(): void;
  counts(): { active: number; backoff: number; unschedulable: number };
  close(): void;
}

export interface QueueOptions {
  firstBackoffMs?: number;
  lastBackoffMs?: number;
  unschedulableMaxMs?: number;
}

type Place = "active" | "backoff" | "unschedulable" | "inFlight";
interface Entry extends QueuedPod {
  place: Place;
  /** In flight: the pod or the cluster changed since it was taken. */
  touched: boolean;
  timer?: NodeJS.Timeout;
}

export function createSchedulingQueue(options: QueueOptions = {}): SchedulingQueue {
  const { firstBackoffMs = 1_000, lastBackoffMs = 10_000, unschedulableMaxMs = 300_000 } = options;
  const entries = new Map<string, Entry>();
  const takers: ((item: QueuedPod | undefined) => void)[] = [];
  const active = createHeap<Entry>(before);
  let closed = false;

  const backoffMs = (entry: Entry) => Math.min(firstBackoffMs * 2 ** Math.max(0, entry.attempts - 1), lastBackoffMs);
  const activate = (entry: Entry) => {
    clearTimeout(entry.timer);
    entry.place = "active";
    active.push(entry);
    serve();
  };
  const after = (entry: Entry, ms: number) => {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => activate(entry), ms);
  };
  const backOff = (entry: Entry) => {
    entry.place = "backoff";
    after(entry, backoffMs(entry));
  };
  /** The next active one, which stays where it is. */
  const first = (): Entry | undefined => {
    for (let entry = active.peek(); entry; entry = active.peek()) {
      if (entries.get(entry.key) === entry && entry.place === "active") return entry;
      // Removed or replaced since it was pushed.
      active.pop();
    }
    return undefined;
  };
  const takeFirst = (entry: Entry): QueuedPod => {
    active.pop();
    return take(entry);
  };
  const take = (entry: Entry): QueuedPod => {
    clearTimeout(entry.timer);
    entry.place = "inFlight";
    entry.touched = false;
    entry.attempts++;
    return { ...entry };
  };
  const serve = () => {
    while (takers.length > 0) {
      const entry = first();
      if (!entry) return;
      takers.shift()?.(takeFirst(entry));
    }
  };

  return {
    put(key, pod) {
      const entry = entries.get(key);
      if (!entry) {
        const added: Entry = { key, pod, attempts: 0, arrived: performance.now(), place: "active", touched: false };
        entries.set(key, added);
        return activate(added);
      }
      const changed =
        JSON.stringify([entry.pod.spec, entry.pod.metadata.labels]) !== JSON.stringify([pod.spec, pod.metadata.labels]);
      entry.pod = pod;
      if (!changed) return;
      if (entry.place === "inFlight") entry.touched = true;
      else if (entry.place === "unschedulable") backOff(entry);
    },
    remove(key) {
      clearTimeout(entries.get(key)?.timer);
      entries.delete(key);
    },
    take() {
      if (closed) return Promise.resolve(undefined);
      return new Promise((resolve) => {
        takers.push(resolve);
        serve();
      });
    },
    takeIf(test) {
      const entry = closed ? undefined : first();
      return entry && test(entry) ? takeFirst(entry) : undefined;
    },
    takeKey(key) {
      const entry = entries.get(key);
      return closed || !entry || entry.place === "inFlight" ? undefined : take(entry);
    },
    giveBack({ key }) {
      const entry = entries.get(key);
      if (entry?.place !== "inFlight") return;
      entry.attempts--;
      activate(entry);
    },
    done(key) {
      const entry = entries.get(key);
      if (entry?.place === "inFlight") entries.delete(key);
    },
    failed({ key }, retry) {
      const entry = entries.get(key);
      if (entry?.place !== "inFlight") return;
      if (retry || entry.touched) return backOff(entry);
      entry.place = "unschedulable";
      after(entry, unschedulableMaxMs);
    },
    moveAll() {
      for (const entry of entries.values()) {
        if (entry.place === "inFlight") entry.touched = true;
        else if (entry.place === "unschedulable") backOff(entry);
      }
    },
    counts() {
      const counts = { active: 0, backoff: 0, unschedulable: 0, inFlight: 0 };
      for (const entry of entries.values()) counts[entry.place]++;
      return counts;
    },
    close() {
      closed = true;
      for (const entry of entries.values()) clearTimeout(entry.timer);
      entries.clear();
      for (const taker of takers.splice(0)) taker(undefined);
    },
  };
}

const priority = (item: QueuedPod): number => item.pod.spec?.priority ?? 0;
const before = (a: QueuedPod, b: QueuedPod): boolean =>
  priority(a) !== priority(b) ? priority(a) > priority(b) : a.arrived < b.arrived;

function createHeap<T>(isBefore: (a: T, b: T) => boolean): {
  push(item: T): void;
  pop(): T | undefined;
  peek(): T | undefined;
} {
  const items: T[] = [];
  const swap = (i: number, j: number) => {
    [items[i], items[j]] = [items[j]!, items[i]!];
  };
  return {
    peek: () => items[0],
    push(item) {
      let at = items.push(item) - 1;
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if (!isBefore(items[at]!, items[parent]!)) return;
        swap(at, parent);
        at = parent;
      }
    },
    pop() {
      const top = items[0];
      const last = items.pop();
      if (items.length === 0 || last === undefined) return top;
      items[0] = last;
      for (let at = 0; ; ) {
        const [left, right] = [2 * at + 1, 2 * at + 2];
        let first = at;
        if (left < items.length && isBefore(items[left]!, items[first]!)) first = left;
        if (right < items.length && isBefore(items[right]!, items[first]!)) first = right;
        if (first === at) return top;
        swap(at, first);
        at = first;
      }
    },
  };
}
