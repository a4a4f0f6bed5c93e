/** Metrics as Prometheus reads them (text exposition format 0.0.4). */
export interface Sample {
  /** Few and bounded values; never a tenant's or an object's name. */
  labels?: Readonly<Record<string, string>>;
  value: number;
}

/** Cumulative counts: counts[i] values were at most bounds[i]; the last count is all of them. */
export interface HistogramValues {
  bounds: readonly number[];
  counts: readonly number[];
  sum: number;
}

export type Metric = { name: string; help: string } & (
  | { type: "gauge" | "counter"; samples: readonly Sample[] }
  | { type: "histogram"; values: HistogramValues }
);

const labelText = (labels: Readonly<Record<string, string>> = {}): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length > 0 ? `{${pairs.join(",")}}` : "";
};

function lines(metric: Metric): string[] {
  const { name } = metric;
  if (metric.type !== "histogram")
    return metric.samples.map(({ labels, value }) => `${name}${labelText(labels)} ${value}`);
  const { bounds, counts, sum } = metric.values;
  const buckets = counts.map((count, i) => `${name}_bucket{le="${bounds[i] ?? "+Inf"}"} ${count}`);
  return [...buckets, `${name}_sum ${sum}`, `${name}_count ${counts.at(-1) ?? 0}`];
}

export const expositionText = (metrics: readonly Metric[]): string =>
  metrics.map((m) => `# HELP ${m.name} ${m.help}\n# TYPE ${m.name} ${m.type}\n${lines(m).join("\n")}\n`).join("");
