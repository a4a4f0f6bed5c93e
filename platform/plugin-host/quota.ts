/**
 * What the plugins of one tenant may take together, in one process: how many there are, the memory of their live instances, and CPU time.
 * Root's own are bounded by their limits alone. CPU is a bucket that fills by the quota's milliseconds in a second, and holds
 * two seconds of it: who has emptied it waits, and nobody else does.
 */
import { delay } from "#platform/base/clock.ts";
import type { TenantPlugins } from "#sdk/api/generated/types.ts";
import { CROSSING_BYTES_MAX } from "#sdk/engine/port.ts";

export interface Quota {
  /** Plugins that are loaded. */
  count: number;
  memoryMiB: number;
  /** Milliseconds of CPU in a second, in each process that runs the tenant's plugins. */
  cpuMilliseconds: number;
  /** Of an answer, and of what a host call is given. */
  crossingKiB: number;
}

export const DEFAULT_QUOTA: Quota = { count: 20, memoryMiB: 512, cpuMilliseconds: 50, crossingKiB: 256 };
const NO_QUOTA: Quota = {
  count: Number.POSITIVE_INFINITY,
  memoryMiB: Number.POSITIVE_INFINITY,
  cpuMilliseconds: Number.POSITIVE_INFINITY,
  crossingKiB: CROSSING_BYTES_MAX / 1024,
};
const BUCKET_SECONDS = 2;
/** What a host call counts as, whatever it does: its way there and back, several times over. */
const HOST_CALL_MICROS = 500;

/** The quota in a Tenant's spec.plugins, completed by the defaults. */
export const quotaOf = (spec: TenantPlugins | undefined): Quota => ({ ...DEFAULT_QUOTA, ...spec });

/** What one tenant has taken. */
export class TenantUse {
  readonly tenant: string;
  readonly #quota: () => Quota;
  readonly #now: () => number;
  #memoryMiB = 0;
  #spentMs = 0;
  #at: number;

  /** `now`: milliseconds, never going back. */
  constructor(tenant: string, quota: () => Quota, now: () => number = () => performance.now()) {
    this.tenant = tenant;
    this.#quota = this.isTenants ? quota : () => NO_QUOTA;
    this.#now = now;
    this.#at = now();
  }

  /** Not root's. */
  get isTenants(): boolean {
    return this.tenant !== "root";
  }

  get count(): number {
    return this.#quota().count;
  }

  get crossingBytesMax(): number {
    return this.#quota().crossingKiB * 1024;
  }

  /** Takes the memory of one more instance; false where that is more than the quota. */
  takeMemory(memoryMiB: number): boolean {
    if (this.#memoryMiB + memoryMiB > this.#quota().memoryMiB) return false;
    this.#memoryMiB += memoryMiB;
    return true;
  }

  giveMemory(memoryMiB: number): void {
    this.#memoryMiB -= memoryMiB;
  }

  /** Milliseconds until CPU time is there again; 0: there is. */
  cpuWaitMs(): number {
    const { cpuMilliseconds } = this.#quota();
    if (cpuMilliseconds === Number.POSITIVE_INFINITY) return 0;
    this.#refill(cpuMilliseconds);
    const over = this.#spentMs - cpuMilliseconds * BUCKET_SECONDS;
    return over > 0 ? Math.ceil((over * 1000) / Math.max(1, cpuMilliseconds)) : 0;
  }

  /** Waits for CPU time; false: there is none until `until`, of performance.now(). */
  async cpuBy(until: number): Promise<boolean> {
    for (let wait = this.cpuWaitMs(); wait > 0; wait = this.cpuWaitMs()) {
      if (performance.now() + wait >= until) return false;
      await delay(wait);
    }
    return true;
  }

  /** A host call takes the time of the thread that everybody shares: it is the tenant's, and who has used that up waits. */
  async crosses(): Promise<void> {
    this.spent(HOST_CALL_MICROS);
    const wait = this.cpuWaitMs();
    if (wait > 0) await delay(wait);
  }

  spent(micros: number): void {
    this.#spentMs += micros / 1000;
  }

  #refill(cpuMilliseconds: number): void {
    const now = this.#now();
    this.#spentMs = Math.max(0, this.#spentMs - ((now - this.#at) / 1000) * cpuMilliseconds);
    this.#at = now;
  }
}
