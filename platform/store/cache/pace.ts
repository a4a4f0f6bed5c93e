/**
 * When a watcher is served: after a pause at once, and otherwise, with everything that came meanwhile, at the end of a short turn that all
 * busy watchers share. Five hundred heartbeats a second are a hundred chunks for whoever watches them (S9).
 */
import { setTimeout as after } from "node:timers";

/** Milliseconds: less than any reader notices, and several changes where there are hundreds a second. */
export const TURN_MS = 10;

export interface Served {
  /** By performance.now(). */
  servedAt: number;
  serve(): void;
}

export class Pace {
  readonly #turnMs: number;
  #soon: Served[] = [];
  #later: Served[] = [];

  constructor(turnMs: number) {
    this.#turnMs = turnMs;
  }

  /** `serve` is called once, later. */
  schedule(watcher: Served): void {
    if (performance.now() - watcher.servedAt < this.#turnMs) {
      if (this.#later.push(watcher) === 1) after(() => this.#serve("later"), this.#turnMs);
      return;
    }
    // After what is under way: whoever wrote is answered before a thousand watchers are told of it.
    if (this.#soon.push(watcher) === 1) setImmediate(() => this.#serve("soon"));
  }

  #serve(which: "soon" | "later"): void {
    const watchers = which === "soon" ? this.#soon : this.#later;
    if (which === "soon") this.#soon = [];
    else this.#later = [];
    for (const watcher of watchers) watcher.serve();
  }
}
