/**
 * The instances of one pool: idle, busy and being made. An instance serves one tenant until it is made anew (P2). Each has a place in the
 * process' budget and counts against the memory of its tenant's quota; what nobody uses is given back.
 */
import type { Instance } from "#sdk/engine/port.ts";
import type { Holder, InstanceBudget } from "./budget.ts";
import type { CallContext } from "./pool.ts";
import type { TenantUse } from "./quota.ts";

/** Idle instances beyond those kept are given back after so long. */
const IDLE_MS = 30_000;

export interface Slot {
  instance: Instance;
  /** Whom it has served; undefined until the first call. */
  tenant: string | undefined;
  context: CallContext;
  /** performance.now() of the last call that somebody waited for. */
  usedAt: number;
}

export interface InstancesOptions {
  max: number;
  memoryMiB: number;
  /** So many are not given back for being idle. */
  kept: number;
  budget: InstanceBudget;
  use: TenantUse;
  /** There may be an instance for who waits. */
  feed(): void;
}

export class Instances implements Holder {
  readonly #o: InstancesOptions;
  readonly #idle: Slot[] = [];
  /** Idle, busy and being made. */
  #live = 0;
  /** Why no more can be had, when there is a reason beside the pool's own maximum. */
  lack = "";
  #trimmer: NodeJS.Timeout | undefined;

  constructor(options: InstancesOptions) {
    this.#o = options;
    options.budget.add(this);
  }

  get live(): number {
    return this.#live;
  }

  get tenant(): string {
    return this.#o.use.tenant;
  }

  feed(): void {
    this.#o.feed();
  }

  /** No await in here: the only place where an instance changes hands. "make": a place is taken for a new one; undefined: wait. */
  take(tenant: string): Slot | "make" | undefined {
    const own = this.#idle.findLastIndex((slot) => slot.tenant === tenant || slot.tenant === undefined);
    if (own >= 0) {
      const slot = this.#idle.splice(own, 1)[0] as Slot;
      slot.tenant = tenant;
      return slot;
    }
    if (this.reserve()) return "make";
    const other = this.#idle.shift();
    if (!other) return undefined;
    // Another tenant's: its memory is given back, its place taken.
    void other.instance.discard();
    return "make";
  }

  /** A place for one more; false: there is none now. */
  reserve(): boolean {
    const { max, memoryMiB, budget, use } = this.#o;
    this.lack = "";
    if (this.#live >= max) return false;
    if (!use.takeMemory(memoryMiB)) {
      budget.evict(use.tenant);
      if (!use.takeMemory(memoryMiB)) {
        budget.await(this);
        this.lack = `the memory quota of tenant ${use.tenant} is used up`;
        return false;
      }
    }
    if (!budget.take(this)) {
      use.giveMemory(memoryMiB);
      this.lack = "the process runs as many instances as it may";
      return false;
    }
    this.#live++;
    return true;
  }

  /** The place of one that was not made. */
  release(): void {
    this.#live--;
    this.#free();
  }

  #free(): void {
    this.#o.use.giveMemory(this.#o.memoryMiB);
    this.#o.budget.give();
  }

  /** `used`: somebody waited for what it did. */
  putBack(slot: Slot, used: boolean): void {
    if (used) slot.usedAt = performance.now();
    this.#idle.push(slot);
    if (this.#live > this.#o.kept) this.#trimmer ??= setTimeout(() => this.#trim(), IDLE_MS).unref();
  }

  /** Its place in the engine is free when it is really gone. */
  async discard(slot: Slot): Promise<void> {
    this.#live--;
    await slot.instance.discard().finally(() => this.#free());
  }

  async discardIdle(): Promise<void> {
    clearTimeout(this.#trimmer);
    await Promise.all(this.#idle.splice(0).map((slot) => this.discard(slot)));
  }

  /** The pool is over. */
  close(): void {
    clearTimeout(this.#trimmer);
    this.#o.budget.remove(this);
  }

  idleSince(): number | undefined {
    return this.#live > this.#o.kept ? this.#idle[0]?.usedAt : undefined;
  }

  giveIdle(): void {
    const slot = this.#idle.shift();
    if (slot) void this.discard(slot);
  }

  #trim(): void {
    this.#trimmer = undefined;
    const before = performance.now() - IDLE_MS;
    while (this.#live > this.#o.kept && this.#idle[0] && this.#idle[0].usedAt <= before) this.giveIdle();
    if (this.#live > this.#o.kept) this.#trimmer = setTimeout(() => this.#trim(), IDLE_MS).unref();
  }
}
