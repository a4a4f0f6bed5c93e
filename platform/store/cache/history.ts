/**
 * The latest changes of one resource, oldest first: what a watch that starts in the past is given, and how a list at an exact
 * revision is made from the present (S4: walking back, each change puts back what was there before it). Bounded by count,
 * bytes and age (S11); `floor` says from which revision on it is complete.
 */
import type { Change, Revision, StoredObject } from "../port.ts";
import { placeText } from "./shelf.ts";

export interface Entry {
  change: Change;
  /** The object before; undefined when there was none, and in what was read back from the log. */
  before: StoredObject | undefined;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface HistoryLimits {
  entriesMax: number;
  bytesMax: number;
  ageMs: number;
}

/** What the histories of all resources hold together; whoever adds beyond it gives up its own oldest. */
export interface Budget {
  bytes: number;
  readonly bytesMax: number;
}

const bytesOf = (entry: Entry): number => entry.change.object.document.length + 200;

export class History {
  readonly #limits: HistoryLimits;
  readonly #budget: Budget;
  #entries: Entry[] = [];
  /** The entries before this index are dropped; the array is cut when they are many. */
  #head = 0;
  #bytes = 0;
  /** Complete for every place ≥ this revision. */
  floor: Revision;

  constructor(floor: Revision, limits: HistoryLimits, budget: Budget) {
    this.floor = floor;
    this.#budget = budget;
    this.#limits = limits;
  }

  push(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += bytesOf(entry);
    this.#budget.bytes += bytesOf(entry);
    const { entriesMax, bytesMax } = this.#limits;
    const tooMuch = () =>
      this.length > entriesMax || this.#bytes > bytesMax || this.#budget.bytes > this.#budget.bytesMax;
    while (this.length > 0 && tooMuch()) this.#drop();
  }

  get length(): number {
    return this.#entries.length - this.#head;
  }

  /** Forgets what is older than the window. */
  expire(now: number): void {
    while (this.#head < this.#entries.length && this.#entries[this.#head]!.at < now - this.#limits.ageMs) this.#drop();
  }

  #drop(): void {
    const entry = this.#entries[this.#head];
    if (!entry) return;
    this.floor = entry.change.revision;
    this.#bytes -= bytesOf(entry);
    this.#budget.bytes -= bytesOf(entry);
    this.#head++;
    if (this.#head >= 64 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The changes after a revision, oldest first. The caller has checked the floor. */
  since(revision: Revision): Entry[] {
    let low = this.#head;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entries[middle]!.change.revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#entries.slice(low);
  }

  /** What differed at a revision that is not before the cache's load: place → the object then, undefined where there was none. */
  differencesAt(revision: Revision): Map<string, { change: Change; was: StoredObject | undefined }> {
    const differences = new Map<string, { change: Change; was: StoredObject | undefined }>();
    for (const entry of this.since(revision)) {
      const place = placeText(entry.change.object.key);
      if (!differences.has(place)) differences.set(place, { change: entry.change, was: entry.before });
    }
    return differences;
  }
}
