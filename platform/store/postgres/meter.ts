/** What the committer counts about itself: Prometheus histograms, cumulative from the process's start. */

/** Upper bounds. */
const WRITES = [1, 2, 5, 10, 25, 50, 100, 250, 500];
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

export class Histogram {
  readonly bounds: readonly number[];
  /** How many values are at most the bound; the last is all of them. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  get count(): number {
    return this.counts.at(-1) ?? 0;
  }

  add(value: number): void {
    this.sum += value;
    for (let i = 0; i < this.bounds.length; i++) if (value <= (this.bounds[i] ?? 0)) this.counts[i]!++;
    this.counts[this.bounds.length]!++;
  }
}

export class CommitMeter {
  readonly writes = new Histogram(WRITES);
  readonly seconds = new Histogram(SECONDS);
  /** Batches that were committed in one flight, and in two. */
  readonly flights = { one: 0, two: 0 };
  /** Commits whose answer was lost with the connection, and that had to be looked up. */
  doubts = 0;

  commit(known: boolean): void {
    this.flights[known ? "one" : "two"]++;
  }

  batch(writes: number, seconds: number): void {
    this.writes.add(writes);
    this.seconds.add(seconds);
  }
}
