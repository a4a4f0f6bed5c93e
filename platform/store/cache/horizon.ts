/**
 * How far back lists are answered from: the revision of so long ago, whatever has changed since. A client whose pages are older is told 410
 * and the way on, as etcd's compaction has it; without this a page of a quiet resource would be as good as new for ever.
 */
import type { Revision } from "../port.ts";

const MOMENTS_MS = 10_000;

export class Horizon {
  readonly #ageMs: number;
  #moments: { at: number; revision: Revision }[] = [];
  /** No list is answered from before this. */
  revision: Revision = 0;

  constructor(ageMs: number) {
    this.#ageMs = ageMs;
  }

  note(now: number, revision: Revision): void {
    const last = this.#moments.at(-1);
    if (!last || now - last.at >= MOMENTS_MS) this.#moments.push({ at: now, revision });
    const young = this.#moments.findIndex(({ at }) => at > now - this.#ageMs);
    const old = young < 0 ? this.#moments.length : young;
    const newest = this.#moments[old - 1];
    if (!newest) return;
    this.revision = newest.revision;
    this.#moments = this.#moments.slice(old - 1);
  }
}
