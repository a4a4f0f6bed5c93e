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

/**
 * What happens that may let a pod be placed: to a node's object, to a pod that is gone from a node, to a pod that came to one, to devices and
 * claims of them, or anything else (volumes, plugins, namespaces).
 */
export type SchedulingEvent = "node" | "podGone" | "podPlaced" | "devices" | "other";
export const ALL_EVENTS: readonly SchedulingEvent[] = ["node", "podGone", "podPlaced", "devices", "other"];

export interface SchedulingQueue {
  /** New or changed: a change of the pod itself may have made it schedulable. A new one becomes active after `delayMs` (0). */
  put(key: string, pod: Pod, delayMs?: number): void;
  remove(key: string): void;
  /** Waits for the next one; undefined after close. The taker must call done or failed. */
  take(): Promise<QueuedPod | undefined>;
  /** The next one if it is there and passes the test; as if it had been taken. */
  takeIf(test: (item: QueuedPod) => boolean): QueuedPod | undefined;
  /** Of the active of this one's priority, the next that looks like it, where it passes the test; it overtakes others. */
  takeLike(item: QueuedPod, test: (item: QueuedPod) => boolean): QueuedPod | undefined;
  /** This one, wherever it waits; as if it had been taken. */
  takeKey(key: string): QueuedPod | undefined;
  /** It was taken and not decided about: it is the next again. */
  giveBack(item: QueuedPod): void;
  /** It has a node, or is no longer ours. */
  done(key: string): void;
  /** Nothing fits until one of these happens; none: the failure has nothing to do with them (a lost race, an error), so only time is awaited. */
  failed(item: QueuedPod, until: readonly SchedulingEvent[]): void;
  /** It happened: all that wait for it are tried again. */
  move(event: SchedulingEvent): void;
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
  /** What it looks like (lookOf). */
  look: string;
  /** It is in the heap, though perhaps not active any more. */
  heaped: boolean;
  /** In flight: what happened since it was taken; the pod itself may have changed, too. */
  happened: Set<SchedulingEvent | "changed">;
  timer?: NodeJS.Timeout;
}

export function createSchedulingQueue(options: QueueOptions = {}): SchedulingQueue {
  const { firstBackoffMs = 1_000, lastBackoffMs = 10_000, unschedulableMaxMs = 300_000 } = options;
  const entries = new Map<string, Entry>();
  const takers: ((item: QueuedPod | undefined) => void)[] = [];
  const active = createHeap<Entry>(before);
  const inFlight = new Set<Entry>();
  /** The active, by what they look like, in the order in which they became active. */
  const alike = new Map<string, Set<Entry>>();
  /** The unschedulable, by what they wait for. */
  const waiting = new Map(ALL_EVENTS.map((event) => [event, new Set<Entry>()]));
  let closed = false;

  const list = (entry: Entry) => {
    const others = alike.get(entry.look);
    if (others) others.add(entry);
    else alike.set(entry.look, new Set([entry]));
  };
  const unlist = (entry: Entry) => {
    const others = alike.get(entry.look);
    others?.delete(entry);
    if (others?.size === 0) alike.delete(entry.look);
  };
  const leave = (entry: Entry) => {
    clearTimeout(entry.timer);
    inFlight.delete(entry);
    if (entry.place === "active") unlist(entry);
    if (entry.place === "unschedulable") for (const entries of waiting.values()) entries.delete(entry);
  };
  const backoffMs = (entry: Entry) => Math.min(firstBackoffMs * 2 ** Math.max(0, entry.attempts - 1), lastBackoffMs);
  const activate = (entry: Entry) => {
    leave(entry);
    entry.place = "active";
    list(entry);
    if (!entry.heaped) active.push(entry);
    entry.heaped = true;
    serve();
  };
  const after = (entry: Entry, ms: number) => {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => activate(entry), ms);
  };
  const backOff = (entry: Entry) => {
    leave(entry);
    entry.place = "backoff";
    after(entry, backoffMs(entry));
  };
  /** The next active one, which stays where it is. */
  const first = (): Entry | undefined => {
    for (let entry = active.peek(); entry; entry = active.peek()) {
      if (entries.get(entry.key) === entry && entry.place === "active") return entry;
      // Removed, replaced or taken otherwise since it was pushed.
      pop();
    }
    return undefined;
  };
  const pop = () => {
    const entry = active.pop();
    if (entry) entry.heaped = false;
  };
  const takeFirst = (entry: Entry): QueuedPod => {
    pop();
    return take(entry);
  };
  const take = (entry: Entry): QueuedPod => {
    leave(entry);
    entry.place = "inFlight";
    entry.happened = new Set();
    inFlight.add(entry);
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
    put(key, pod, delayMs = 0) {
      const entry = entries.get(key);
      if (!entry) {
        const added: Entry = {
          key,
          pod,
          attempts: 0,
          arrived: performance.now(),
          // Nowhere yet.
          place: "backoff",
          look: lookOf(key, pod),
          heaped: false,
          happened: new Set(),
        };
        entries.set(key, added);
        if (delayMs === 0) return activate(added);
        return after(added, delayMs);
      }
      const changed =
        JSON.stringify([entry.pod.spec, entry.pod.metadata.labels]) !== JSON.stringify([pod.spec, pod.metadata.labels]);
      entry.pod = pod;
      if (!changed) return;
      if (entry.place === "active") unlist(entry);
      entry.look = lookOf(key, pod);
      if (entry.place === "active") list(entry);
      if (entry.place === "inFlight") entry.happened.add("changed");
      else if (entry.place === "unschedulable") backOff(entry);
    },
    remove(key) {
      const entry = entries.get(key);
      if (!entry) return;
      leave(entry);
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
    takeLike({ key, pod }, test) {
      const next = closed ? undefined : alike.get(lookOf(key, pod))?.values().next().value;
      return next && test(next) ? take(next) : undefined;
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
      if (entry?.place !== "inFlight") return;
      leave(entry);
      entries.delete(key);
    },
    failed({ key }, until) {
      const entry = entries.get(key);
      if (entry?.place !== "inFlight") return;
      const { happened } = entry;
      if (until.length === 0 || happened.has("changed") || until.some((event) => happened.has(event))) {
        return backOff(entry);
      }
      leave(entry);
      entry.place = "unschedulable";
      for (const event of until) waiting.get(event)!.add(entry);
      after(entry, unschedulableMaxMs);
    },
    move(event) {
      for (const entry of inFlight) entry.happened.add(event);
      for (const entry of [...waiting.get(event)!]) backOff(entry);
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
      alike.clear();
      for (const taker of takers.splice(0)) taker(undefined);
    },
  };
}

const priority = (item: QueuedPod): number => item.pod.spec?.priority ?? 0;
/** Equal for most pods of one template, which is good enough to find some; never for pods of different priority. */
const lookOf = (key: string, { metadata, spec }: Pod): string =>
  JSON.stringify([
    key.slice(0, key.lastIndexOf("/")),
    metadata.labels,
    spec?.priority ?? 0,
    spec?.schedulerName,
    spec?.containers.map(({ image, resources }) => [image, resources]),
  ]);

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
