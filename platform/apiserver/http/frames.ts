/**
 * The frames of the latest changes: a thousand watchers of a change are sent the same bytes (S9). Bounded by bytes, and not kept with
 * the object, which would lie twice in memory for as long as it lives, nor for longer than watchers need that keep up.
 */
import type { StoredObject } from "#platform/store/port.ts";

const BYTES_MAX = 32 * 1024 * 1024;
const AGE_MS_MAX = 5_000;
/** An entry's own weight. */
const ENTRY_BYTES = 200;

interface Frames {
  since: number;
  byType: Map<string, Buffer>;
}

export interface RecentFramesOptions {
  bytesMax?: number;
  /** Milliseconds that only grow. */
  now?(): number;
}

export class RecentFrames {
  readonly #frames = new Map<StoredObject, Frames>();
  readonly #bytesMax: number;
  readonly #now: () => number;
  #bytes = 0;

  constructor({ bytesMax = BYTES_MAX, now = () => performance.now() }: RecentFramesOptions = {}) {
    this.#bytesMax = bytesMax;
    this.#now = now;
  }

  /** The object's frame of this type of event; made by the first who asks. */
  get(object: StoredObject, type: string, make: () => Buffer): Buffer {
    const known = this.#frames.get(object)?.byType.get(type);
    if (known) return known;
    const frame = make();
    const now = this.#now();
    const frames = this.#frames.get(object) ?? { since: now, byType: new Map<string, Buffer>() };
    frames.byType.set(type, frame);
    this.#frames.set(object, frames);
    this.#bytes += frame.length + ENTRY_BYTES;
    this.#forget(now - AGE_MS_MAX);
    return frame;
  }

  /** The oldest first. */
  #forget(before: number): void {
    for (const [oldest, { since, byType }] of this.#frames) {
      if (this.#bytes <= this.#bytesMax && since >= before) return;
      this.#frames.delete(oldest);
      for (const { length } of byType.values()) this.#bytes -= length + ENTRY_BYTES;
    }
  }
}
