/**
 * What the browser knows of one live list. Items are kept by key and their keys in order, so a change costs a search, not
 * a sort. A message may be told twice after a lost connection; putting and removing by key makes that harmless.
 */
import type { Column, LiveMessage } from "./wire.ts";

export type Phase = "starting" | "listing" | "live";

export class LiveStore<Item> {
  readonly items = new Map<string, Item>();
  keys: string[] = [];
  columns: readonly Column[] = [];
  phase: Phase = "starting";
  /** How many objects are still to come, where the server knows. */
  remaining: number | undefined;
  /** Why nothing comes at the moment. */
  waiting: string | undefined;
  readonly #keyOf: (item: Item) => string;

  constructor(keyOf: (item: Item) => string) {
    this.#keyOf = keyOf;
  }

  apply(message: LiveMessage<Item>): void {
    if (message.type !== "waiting") this.waiting = undefined;
    switch (message.type) {
      case "reset":
        this.items.clear();
        this.keys = [];
        this.columns = message.columns;
        this.phase = "listing";
        this.remaining = undefined;
        return;
      case "page":
        for (const item of message.items) this.#put(item);
        this.remaining = message.remaining;
        return;
      case "synced":
        this.phase = "live";
        this.remaining = undefined;
        return;
      case "changes":
        for (const change of message.changes) {
          if (change.type === "put") this.#put(change.item);
          else this.#remove(change.key);
        }
        return;
      case "waiting":
        this.waiting = message.message;
        return;
    }
  }

  #put(item: Item): void {
    const key = this.#keyOf(item);
    if (!this.items.has(key)) {
      const last = this.keys.at(-1);
      if (last === undefined || last < key) this.keys.push(key);
      else this.keys.splice(this.#place(key), 0, key);
    }
    this.items.set(key, item);
  }

  #remove(key: string): void {
    if (this.items.delete(key)) this.keys.splice(this.#place(key), 1);
  }

  /** Where the key is, or belongs. */
  #place(key: string): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
