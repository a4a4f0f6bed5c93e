/** Counts of one plugin in one process. Bounded: the latencies shown as quantiles are those of the last calls, hooks and callers are few. */
import type { HookLatency } from "#sdk/plugin/manifest.ts";

const LATENCIES_KEPT = 512;
/** A manifest's hooks are fewer; whoever calls by other names is counted together. */
const HOOKS_MAX = 64;
/** Tenants that are told apart as callers; the others are "other". */
const CALLERS_MAX = 100;

/** Upper bounds of the latency histograms, in seconds. */
export const LATENCY_BOUNDS_SECONDS: readonly number[] = [
  0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30,
];

/** One call that is over; times in milliseconds. */
export interface CallTimes {
  hook: string;
  /** Whose request it was for. */
  tenant: string;
  milliseconds: number;
  queuedMilliseconds: number;
  costMicros: number;
}

export class PluginMetrics {
  calls = 0;
  restarts = 0;
  costMicros = 0;
  readonly errorsByKind: Record<string, number> = {};
  readonly callsByTenant = new Map<string, number>();
  readonly #hooks = new Map<string, HookLatency>();
  #latencies: number[] = [];
  #at = 0;
  #totalMs = 0;
  #maxMs = 0;

  called({ hook, tenant, milliseconds, queuedMilliseconds, costMicros }: CallTimes): void {
    this.calls++;
    this.costMicros += costMicros;
    this.#totalMs += milliseconds;
    if (milliseconds > this.#maxMs) this.#maxMs = milliseconds;
    this.#latencies[this.#at] = milliseconds;
    this.#at = (this.#at + 1) % LATENCIES_KEPT;
    const caller = this.callsByTenant.has(tenant) || this.callsByTenant.size < CALLERS_MAX ? tenant : "other";
    this.callsByTenant.set(caller, (this.callsByTenant.get(caller) ?? 0) + 1);
    const latency = this.#hook(hook);
    const seconds = milliseconds / 1000;
    latency.sumSeconds += seconds;
    latency.queueSeconds += queuedMilliseconds / 1000;
    for (let i = LATENCY_BOUNDS_SECONDS.length; i >= 0; i--) {
      if (seconds > (LATENCY_BOUNDS_SECONDS[i] ?? Number.POSITIVE_INFINITY)) break;
      latency.counts[i] = (latency.counts[i] ?? 0) + 1;
    }
  }

  failed(kind: string): void {
    this.errorsByKind[kind] = (this.errorsByKind[kind] ?? 0) + 1;
  }

  get errors(): number {
    return Object.values(this.errorsByKind).reduce((sum, count) => sum + count, 0);
  }

  latency() {
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    const quantile = (q: number) => rounded(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0);
    return {
      p50Milliseconds: quantile(0.5),
      p99Milliseconds: quantile(0.99),
      maxMilliseconds: rounded(this.#maxMs),
      totalMilliseconds: rounded(this.#totalMs),
    };
  }

  /** By hook; a copy. */
  hooks(): Record<string, HookLatency> {
    const copies = [...this.#hooks].map(([hook, { counts, sumSeconds, queueSeconds }]) => {
      const copy = { counts: [...counts], sumSeconds: precise(sumSeconds), queueSeconds: precise(queueSeconds) };
      return [hook, copy] as const;
    });
    return Object.fromEntries(copies);
  }

  #hook(hook: string): HookLatency {
    const name = this.#hooks.has(hook) || this.#hooks.size < HOOKS_MAX ? hook : "other";
    let latency = this.#hooks.get(name);
    if (!latency) {
      const counts = new Array<number>(LATENCY_BOUNDS_SECONDS.length + 1).fill(0);
      latency = { counts, sumSeconds: 0, queueSeconds: 0 };
      this.#hooks.set(name, latency);
    }
    return latency;
  }
}

const rounded = (milliseconds: number): number => Math.round(milliseconds * 1000) / 1000;
const precise = (seconds: number): number => Math.round(seconds * 1e9) / 1e9;
