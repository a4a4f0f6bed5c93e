/** Metrics as Prometheus reads them (text exposition format 0.0.4). */
export interface Sample {
  /** Few and bounded values; names of objects only where a quota bounds them (plugins). */
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
  | { type: "histogram"; series: readonly { labels: Readonly<Record<string, string>>; values: HistogramValues }[] }
);

const labelText = (labels: Readonly<Record<string, string>> = {}): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length > 0 ? `{${pairs.join(",")}}` : "";
};

function lines(metric: Metric): string[] {
  const { name } = metric;
  if (metric.type !== "histogram")
    return metric.samples.map(({ labels, value }) => `${name}${labelText(labels)} ${value}`);
  const series = "series" in metric ? metric.series : [{ labels: {}, values: metric.values }];
  return series.flatMap(({ labels, values: { bounds, counts, sum } }) => {
    const buckets = counts.map(
      (count, i) => `${name}_bucket${labelText({ ...labels, le: `${bounds[i] ?? "+Inf"}` })} ${count}`,
    );
    return [
      ...buckets,
      `${name}_sum${labelText(labels)} ${sum}`,
      `${name}_count${labelText(labels)} ${counts.at(-1) ?? 0}`,
    ];
  });
}

export const expositionText = (metrics: readonly Metric[]): string =>
  metrics.map((m) => `# HELP ${m.name} ${m.help}\n# TYPE ${m.name} ${m.type}\n${lines(m).join("\n")}\n`).join("");
