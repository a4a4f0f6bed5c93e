/**
 * The frames of the latest changes: a thousand watchers of a change are sent the same bytes (S9). Bounded by bytes and not kept with
 * the object, which would lie twice in memory for as long as it lives.
 */
import type { StoredObject } from "#platform/store/port.ts";

const BYTES_MAX = 32 * 1024 * 1024;
/** An entry's own weight. */
const ENTRY_BYTES = 200;

export class RecentFrames {
  readonly #frames = new Map<StoredObject, Map<string, Buffer>>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax = BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** The object's frame of this type of event; made by the first who asks. */
  get(object: StoredObject, type: string, make: () => Buffer): Buffer {
    const known = this.#frames.get(object)?.get(type);
    if (known) return known;
    const frame = make();
    const types = this.#frames.get(object) ?? new Map<string, Buffer>();
    this.#frames.set(object, types.set(type, frame));
    this.#bytes += frame.length + ENTRY_BYTES;
    for (const [oldest, forgotten] of this.#frames) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#frames.delete(oldest);
      for (const { length } of forgotten.values()) this.#bytes -= length + ENTRY_BYTES;
    }
    return frame;
  }
}
