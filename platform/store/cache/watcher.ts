/** One watch: a bounded buffer between the log and one reader (S9). */
import { expired, type StatusError } from "#sdk/api/status.ts";
import type { Change, Revision, Scope, WatchEvent } from "../port.ts";
import type { Pace, Served } from "./pace.ts";
import { hasField } from "./shelf.ts";

/** Events are references to what the cache holds anyway; a reader this far behind is ended with 410. */
export const WATCHER_EVENTS_MAX = 10_000;
/** The same for their documents: what the history has dropped since is held by the slow alone. */
export const WATCHER_BYTES_MAX = 64 * 1024 * 1024;

export const tooSlow = (): StatusError =>
  expired("the watch was too slow for its buffer; list again and watch from there");

type Taken = IteratorResult<readonly WatchEvent[], undefined>;

interface Reader {
  resolve(taken: Taken): void;
  reject(error: StatusError): void;
}

const DONE: Taken = { done: true, value: undefined };

export interface WatcherOptions {
  scope: Scope;
  bookmarks: boolean;
  /** Everything up to here is known to the reader. */
  after: Revision;
  /** Milliseconds since the epoch. */
  now: number;
  pace: Pace;
  onSlow(): void;
  /** Once, however it ends. */
  onEnd(): void;
}

export class Watcher implements Served {
  readonly scope: Scope;
  readonly bookmarks: boolean;
  /** Everything up to here has been put into the buffer. */
  reached: Revision;
  /** Milliseconds since the epoch of the latest bookmark. */
  bookmarkedAt: number;
  servedAt = Number.NEGATIVE_INFINITY;
  #pending: WatchEvent[] = [];
  #bytes = 0;
  #ended: { error?: StatusError } | undefined;
  #reader: Reader | undefined;
  #scheduled = false;
  readonly #options: WatcherOptions;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.scope = options.scope;
    this.bookmarks = options.bookmarks;
    this.reached = options.after;
    this.bookmarkedAt = options.now;
  }

  /** The caller has matched the scope's tenant, namespace and name. S7: what was seen already is dropped. */
  change(change: Change): void {
    if (change.revision <= this.reached) return;
    this.reached = change.revision;
    const matches =
      hasField(this.scope, change.object) ||
      (change.previous && hasField(this.scope, change.previous as Change["object"]));
    if (matches) this.#put({ type: "change", change });
  }

  bookmark(revision: Revision, now: number): void {
    this.bookmarkedAt = now;
    if (revision <= this.reached) return;
    this.reached = revision;
    const last = this.#pending.at(-1);
    if (last?.type === "bookmark" && !last.initialEnd) last.revision = revision;
    else this.#put({ type: "bookmark", revision });
  }

  #put(event: WatchEvent): void {
    if (this.#ended) return;
    if (event.type === "change") this.#bytes += event.change.object.document.length;
    if (this.#pending.length >= WATCHER_EVENTS_MAX || (this.#bytes > WATCHER_BYTES_MAX && this.#pending.length > 0)) {
      this.#options.onSlow();
      this.end(tooSlow());
      return;
    }
    this.#pending.push(event);
    this.#schedule();
  }

  #schedule(): void {
    if (!this.#reader || this.#scheduled) return;
    this.#scheduled = true;
    this.#options.pace.schedule(this);
  }

  serve(): void {
    this.#scheduled = false;
    const reader = this.#reader;
    if (!reader) return;
    this.#reader = undefined;
    const taken = this.#take();
    if (taken) reader.resolve(taken);
    else if (this.#ended?.error) reader.reject(this.#ended.error);
    else reader.resolve(DONE);
  }

  /** Undefined when nothing is buffered, which is so after an error. */
  #take(): Taken | undefined {
    if (this.#pending.length === 0) return undefined;
    const events = this.#pending;
    this.#pending = [];
    this.#bytes = 0;
    this.servedAt = performance.now();
    return { done: false, value: events };
  }

  /** What is buffered is still read; with an error it is dropped, and the reader gets the error at once. */
  end(error?: StatusError): void {
    if (this.#ended) return;
    this.#ended = error ? { error } : {};
    if (error) this.#pending = [];
    this.#options.onEnd();
    this.serve();
  }

  /** Its reader reads no further. */
  abandon(): void {
    this.#pending = [];
    this.end();
  }

  /** Events that its reader has not taken. */
  get waiting(): number {
    return this.#pending.length;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Everything buffered, waiting for something; done at the end. One reader, one question at a time. */
  next(): Promise<Taken> {
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      if (this.#ended) this.serve();
      else if (this.#pending.length > 0) this.#schedule();
    });
  }
}
