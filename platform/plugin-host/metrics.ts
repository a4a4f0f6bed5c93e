/** Counts of one plugin in one process. Bounded: latencies are those of the last calls. */
const LATENCIES_KEPT = 512;

export class PluginMetrics {
  calls = 0;
  restarts = 0;
  readonly errorsByKind: Record<string, number> = {};
  #latencies: number[] = [];
  #at = 0;
  #totalMs = 0;
  #maxMs = 0;

  called(milliseconds: number): void {
    this.calls++;
    this.#totalMs += milliseconds;
    if (milliseconds > this.#maxMs) this.#maxMs = milliseconds;
    this.#latencies[this.#at] = milliseconds;
    this.#at = (this.#at + 1) % LATENCIES_KEPT;
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
}

const rounded = (milliseconds: number): number => Math.round(milliseconds * 1000) / 1000;
