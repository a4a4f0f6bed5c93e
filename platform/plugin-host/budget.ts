/**
 * How many instances live in one process, over all pools. An engine has so many places; plugins that nobody calls give theirs to those that
 * are called: at the bound, the instance that has been idle for longest is given back.
 */

/** What the budget knows of a pool. */
export interface Holder {
  readonly tenant: string;
  /** Of its instance that has been idle for longest, performance.now(); undefined where none may go. */
  idleSince(): number | undefined;
  /** Gives that one back, which calls `give`. */
  giveIdle(): void;
  /** There may be a place for who waits. */
  feed(): void;
}

/** Below the engine's own bound: 256 memories (sdk/engine/wasmtime/src/runtime.rs), of which a component made from TypeScript takes three. */
const INSTANCES_MAX = 72;

export class InstanceBudget {
  readonly #max: number;
  readonly #holders = new Set<Holder>();
  readonly #waiting = new Set<Holder>();
  #live = 0;

  constructor(max = INSTANCES_MAX) {
    this.#max = max;
  }

  get live(): number {
    return this.#live;
  }

  add(holder: Holder): void {
    this.#holders.add(holder);
  }

  remove(holder: Holder): void {
    this.#holders.delete(holder);
    this.#waiting.delete(holder);
  }

  /** Takes a place; false: none can be had, and `feed` is called when one is. */
  take(holder: Holder): boolean {
    if (this.#live >= this.#max) this.#oldestIdle(() => true)?.giveIdle();
    if (this.#live >= this.#max) {
      this.await(holder);
      return false;
    }
    this.#live++;
    return true;
  }

  give(): void {
    this.#live--;
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    queueMicrotask(() => {
      for (const holder of waiting) holder.feed();
    });
  }

  /** `feed` is called when an instance, of whichever pool, is no more. */
  await(holder: Holder): void {
    this.#waiting.add(holder);
  }

  /** Gives back what a tenant's pools have idle for longest. */
  evict(tenant: string): void {
    this.#oldestIdle((holder) => holder.tenant === tenant)?.giveIdle();
  }

  #oldestIdle(fits: (holder: Holder) => boolean): Holder | undefined {
    let oldest: Holder | undefined;
    let since = Number.POSITIVE_INFINITY;
    for (const holder of this.#holders) {
      const at = fits(holder) ? holder.idleSince() : undefined;
      if (at !== undefined && at < since) [oldest, since] = [holder, at];
    }
    return oldest;
  }
}
