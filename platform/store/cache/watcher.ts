/** One watch: a bounded buffer between the log and one reader (S9). */
import { expired, type StatusError } from "#sdk/api/status.ts";
import type { Change, Revision, Scope, WatchEvent } from "../port.ts";
import { hasField } from "./shelf.ts";

/** Events are references to what the cache holds anyway; a reader this far behind is ended with 410. */
export const WATCHER_EVENTS_MAX = 10_000;
/** The same for their documents: what the history has dropped since is held by the slow alone. */
export const WATCHER_BYTES_MAX = 64 * 1024 * 1024;

export const tooSlow = (): StatusError =>
  expired("the watch was too slow for its buffer; list again and watch from there");

export class Watcher {
  readonly scope: Scope;
  readonly bookmarks: boolean;
  /** Everything up to here has been put into the buffer. */
  reached: Revision;
  /** Milliseconds since the epoch of the latest bookmark. */
  bookmarkedAt: number;
  #pending: WatchEvent[] = [];
  #bytes = 0;
  #ended: { error?: StatusError } | undefined;
  #wake: (() => void) | undefined;

  readonly #onSlow: () => void;

  constructor(scope: Scope, bookmarks: boolean, after: Revision, now: number, onSlow: () => void) {
    this.#onSlow = onSlow;
    this.scope = scope;
    this.bookmarks = bookmarks;
    this.reached = after;
    this.bookmarkedAt = now;
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

  put(events: readonly WatchEvent[]): void {
    for (const event of events) this.#put(event);
  }

  #put(event: WatchEvent): void {
    if (this.#ended) return;
    if (event.type === "change") this.#bytes += event.change.object.document.length;
    if (this.#pending.length >= WATCHER_EVENTS_MAX || (this.#bytes > WATCHER_BYTES_MAX && this.#pending.length > 0)) {
      this.#onSlow();
      this.end(tooSlow());
      return;
    }
    this.#pending.push(event);
    this.#wake?.();
  }

  /** With an error: what is buffered is dropped, the reader gets the error at once. */
  end(error?: StatusError): void {
    if (this.#ended) return;
    this.#ended = error ? { error } : {};
    if (error) this.#pending = [];
    this.#wake?.();
  }

  /** Events that its reader has not taken. */
  get waiting(): number {
    return this.#pending.length;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Everything buffered, waiting for something; undefined at the end. */
  async next(): Promise<readonly WatchEvent[] | undefined> {
    while (this.#pending.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#ended?.error) throw this.#ended.error;
    if (this.#pending.length === 0) return undefined;
    const events = this.#pending;
    this.#pending = [];
    this.#bytes = 0;
    return events;
  }
}
