/** Counters and gauges in Prometheus' text form. Labels are few and bounded by the caller. */
export class Metrics {
  readonly #counters = new Map<string, number>();
  readonly #sums = new Map<string, { count: number; seconds: number }>();
  #inFlight = 0;

  started(): void {
    this.#inFlight++;
  }

  finished(labels: { verb: string; group: string; resource: string; code: number }, seconds: number): void {
    this.#inFlight--;
    const { verb, group, resource, code } = labels;
    const count = `verb="${verb}",group="${group}",resource="${resource}",code="${code}"`;
    this.#counters.set(count, (this.#counters.get(count) ?? 0) + 1);
    const timing = `verb="${verb}",group="${group}",resource="${resource}"`;
    const sum = this.#sums.get(timing) ?? { count: 0, seconds: 0 };
    sum.count++;
    sum.seconds += seconds;
    this.#sums.set(timing, sum);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  text(more: Record<string, number>): string {
    const lines = ["# TYPE apiserver_request_total counter"];
    for (const [labels, value] of this.#counters) lines.push(`apiserver_request_total{${labels}} ${value}`);
    lines.push("# TYPE apiserver_request_duration_seconds summary");
    for (const [labels, { count, seconds }] of this.#sums) {
      lines.push(`apiserver_request_duration_seconds_count{${labels}} ${count}`);
      lines.push(`apiserver_request_duration_seconds_sum{${labels}} ${seconds}`);
    }
    lines.push(
      "# TYPE apiserver_current_inflight_requests gauge",
      `apiserver_current_inflight_requests ${this.#inFlight}`,
    );
    for (const [name, value] of Object.entries(more)) lines.push(`# TYPE ${name} gauge`, `${name} ${value}`);
    return `${lines.join("\n")}\n`;
  }
}
