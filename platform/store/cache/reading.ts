/** What the reader of a watch holds: first what was there, then what its watcher is told. */
import type { Revision, StoredObject, WatchEvent } from "../port.ts";
import type { Watcher } from "./watcher.ts";

const INITIAL_PAGE = 500;

export interface Opened {
  watcher: Watcher;
  /** Everything that was there at `revision`, for those who asked for it. */
  initial?: { objects: readonly StoredObject[]; revision: Revision };
}

type Taken = IteratorResult<readonly WatchEvent[], undefined>;

/** Not a generator throughout: each of a thousand readers of a change would pay for its turns. */
export class Reading implements AsyncIterableIterator<readonly WatchEvent[], undefined> {
  readonly #signal: AbortSignal;
  readonly #open: (onEnd: () => void) => Promise<Opened>;
  #watcher: Watcher | undefined;
  #beginning: Iterator<readonly WatchEvent[]> | undefined;
  #over = false;

  /** `onEnd` is called when the watcher has ended, however it did. */
  constructor(signal: AbortSignal, open: (onEnd: () => void) => Promise<Opened>) {
    this.#signal = signal;
    this.#open = open;
  }

  next(): Promise<Taken> {
    return this.#watcher && !this.#beginning ? this.#watcher.next() : this.#begin();
  }

  async return(): Promise<Taken> {
    this.#stop();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #begin(): Promise<Taken> {
    if (this.#over || this.#signal.aborted) return this.return();
    if (!this.#watcher) {
      const { watcher, initial } = await this.#open(() => this.#signal.removeEventListener("abort", this.#stop));
      this.#watcher = watcher;
      this.#beginning = initial && pages(initial);
      // It may have been aborted meanwhile.
      if (this.#signal.aborted) return this.return();
      if (!watcher.ended) this.#signal.addEventListener("abort", this.#stop);
    }
    const page = this.#beginning?.next();
    if (page && !page.done) return page as Taken;
    this.#beginning = undefined;
    return this.#watcher.next();
  }

  readonly #stop = (): void => {
    this.#over = true;
    this.#beginning = undefined;
    this.#watcher?.abandon();
  };
}

function* pages({ objects, revision }: NonNullable<Opened["initial"]>): Generator<readonly WatchEvent[]> {
  for (let at = 0; at < objects.length; at += INITIAL_PAGE) yield objects.slice(at, at + INITIAL_PAGE).map(asAdded);
  yield [{ type: "bookmark", revision, initialEnd: true }];
}

const asAdded = (object: StoredObject): WatchEvent => ({
  type: "change",
  change: { type: "added", revision: object.revision, object },
});
