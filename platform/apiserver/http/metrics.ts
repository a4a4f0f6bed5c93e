/** What is counted, in Prometheus' text form and upstream's names. Labels are few and bounded by what is served. */
import type { RequestInfo } from "./requestInfo.ts";

/** Upstream's buckets of apiserver_request_duration_seconds. */
const BUCKETS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];

const VERBS: Record<string, string> = {
  get: "GET",
  list: "LIST",
  watch: "WATCH",
  create: "POST",
  update: "PUT",
  patch: "PATCH",
  delete: "DELETE",
  deletecollection: "DELETECOLLECTION",
};
const READS = new Set(["get", "list", "watch", "head", "options"]);
/** A process that forgets nothing must not learn everything: other label sets count as none. */
const SERIES_MAX = 10_000;

interface Series {
  codes: Map<number, number>;
  buckets: number[];
  sum: number;
  count: number;
}

const connects = new Set(["exec", "attach", "portforward", "proxy"]);
const verbOf = (info: RequestInfo) =>
  connects.has(info.subresource) ? "CONNECT" : (VERBS[info.verb] ?? info.verb.toUpperCase());

const scopeOf = (info: RequestInfo): string => {
  if (!info.isResource) return "";
  if (info.name !== "") return "resource";
  return info.namespace === "" ? "cluster" : "namespace";
};

const labelsOf = (info: RequestInfo): string =>
  `group="${info.group}",resource="${info.resource}",scope="${scopeOf(info)}",subresource="${info.subresource}",verb="${verbOf(info)}",version="${info.version}"`;

export class Metrics {
  readonly #series = new Map<string, Series>();
  readonly #long = new Map<string, number>();
  readonly #inFlight = { mutating: 0, readOnly: 0 };
  /** A request is being served; the result ends it. */
  begin(info: RequestInfo, long: boolean): () => void {
    const kind = READS.has(info.verb) ? "readOnly" : "mutating";
    if (!long) {
      this.#inFlight[kind]++;
      return () => void this.#inFlight[kind]--;
    }
    const labels = labelsOf(info);
    this.#long.set(labels, (this.#long.get(labels) ?? 0) + 1);
    return () => {
      const left = (this.#long.get(labels) ?? 1) - 1;
      if (left > 0) this.#long.set(labels, left);
      else this.#long.delete(labels);
    };
  }

  /** `info` is undefined for what is not served: counted, and its names are not. */
  finished(info: RequestInfo | undefined, code: number, seconds: number, long: boolean): void {
    const labels = info ? labelsOf(info) : "";
    let series = this.#series.get(labels);
    if (!series) {
      if (this.#series.size >= SERIES_MAX) return;
      series = { codes: new Map(), buckets: new Array<number>(BUCKETS.length).fill(0), sum: 0, count: 0 };
      this.#series.set(labels, series);
    }
    series.codes.set(code, (series.codes.get(code) ?? 0) + 1);
    if (long) return;
    series.sum += seconds;
    series.count++;
    const at = BUCKETS.findIndex((bound) => seconds <= bound);
    if (at >= 0) series.buckets[at] = (series.buckets[at] ?? 0) + 1;
  }

  /** `more`: samples beside the requests', with their labels; those of one name stand together. */
  text(more: ReadonlyMap<string, number>): string {
    const lines: string[] = [];
    const common = (labels: string) => `component="apiserver",dry_run=""${labels === "" ? "" : `,${labels}`}`;
    lines.push("# TYPE apiserver_request_total counter");
    for (const [labels, { codes }] of this.#series) {
      for (const [code, count] of codes)
        lines.push(`apiserver_request_total{code="${code}",${common(labels)}} ${count}`);
    }
    lines.push("# TYPE apiserver_request_duration_seconds histogram");
    for (const [labels, series] of this.#series) if (series.count > 0) histogram(lines, common(labels), series);
    lines.push("# TYPE apiserver_current_inflight_requests gauge");
    for (const [kind, count] of Object.entries(this.#inFlight))
      lines.push(`apiserver_current_inflight_requests{request_kind="${kind}"} ${count}`);
    lines.push("# TYPE apiserver_longrunning_requests gauge");
    for (const [labels, count] of this.#long) lines.push(`apiserver_longrunning_requests{${labels}} ${count}`);
    let last = "";
    for (const [sample, value] of [...more].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const name = sample.split("{", 1)[0] ?? sample;
      if (name !== last) lines.push(`# TYPE ${name} ${name.endsWith("_total") ? "counter" : "gauge"}`);
      last = name;
      lines.push(`${sample} ${value}`);
    }
    return `${lines.join("\n")}\n`;
  }
}

function histogram(lines: string[], labels: string, { buckets, sum, count }: Series): void {
  const name = "apiserver_request_duration_seconds";
  let below = 0;
  BUCKETS.forEach((bound, i) => {
    below += buckets[i] ?? 0;
    lines.push(`${name}_bucket{${labels},le="${bound}"} ${below}`);
  });
  lines.push(
    `${name}_bucket{${labels},le="+Inf"} ${count}`,
    `${name}_sum{${labels}} ${sum}`,
    `${name}_count{${labels}} ${count}`,
  );
}
