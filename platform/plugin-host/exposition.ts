/** What Plugin objects say of their processes, as metrics: one place tells of the plugins of every role. */
import type { Metric, Sample } from "#platform/base/exposition.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { HookLatency, Plugin, PluginHostStatus } from "#sdk/plugin/manifest.ts";
import { LATENCY_BOUNDS_SECONDS } from "./metrics.ts";

type Labels = Record<string, string>;
interface Row {
  labels: Labels;
  host: PluginHostStatus;
}

const STATES = ["serving", "backing-off", "quarantined"] as const;

function rowsOf(plugins: readonly Plugin[]): Row[] {
  return plugins.flatMap((plugin) =>
    Object.entries(plugin.status?.hosts ?? {}).map(([at, host]) => {
      const slash = at.indexOf("/");
      const labels = {
        plugin: plugin.metadata.name ?? "",
        tenant: tenantOf(plugin),
        role: at.slice(0, slash),
        instance: at.slice(slash + 1),
      };
      return { labels, host };
    }),
  );
}

const histogram = (name: string, help: string, rows: readonly Row[]): Metric => ({
  name,
  help,
  type: "histogram",
  series: rows.flatMap(({ labels, host }) =>
    Object.entries(host.hooks ?? {}).map(([hook, { counts, sumSeconds }]: [string, HookLatency]) => ({
      labels: { ...labels, hook },
      values: { bounds: LATENCY_BOUNDS_SECONDS, counts, sum: sumSeconds },
    })),
  ),
});

/** Names and labels are bounded by the plugins that quotas allow, and by the processes that run them. */
export function pluginMetrics(plugins: readonly Plugin[]): Metric[] {
  const rows = rowsOf(plugins);
  const each = (value: (host: PluginHostStatus) => number | undefined): Sample[] =>
    rows.map(({ labels, host }) => ({ labels, value: value(host) ?? 0 }));
  const counter = (name: string, help: string, samples: Sample[]): Metric => ({ name, help, type: "counter", samples });
  const gauge = (name: string, help: string, samples: Sample[]): Metric => ({ name, help, type: "gauge", samples });
  const errors = rows.flatMap(({ labels, host }) =>
    Object.entries(host.errorsByKind ?? {}).map(([kind, value]) => ({ labels: { ...labels, kind }, value })),
  );
  const states = rows.flatMap(({ labels, host }) =>
    STATES.map((state) => ({ labels: { ...labels, state }, value: host.state === state ? 1 : 0 })),
  );
  const queued = rows.flatMap(({ labels, host }) =>
    Object.entries(host.hooks ?? {}).map(([hook, { queueSeconds }]) => ({
      labels: { ...labels, hook },
      value: queueSeconds,
    })),
  );
  return [
    counter(
      "capstan_plugin_calls_total",
      "Calls into a plugin.",
      each((host) => host.calls),
    ),
    counter("capstan_plugin_errors_total", "Calls that failed, by what stopped or refused them.", errors),
    histogram("capstan_plugin_call_duration_seconds", "Time of calls by hook, waiting included.", rows),
    counter("capstan_plugin_queue_seconds_total", "Time that calls waited for an instance.", queued),
    counter(
      "capstan_plugin_cost_seconds_total",
      "The guests' own time.",
      each((host) => (host.costMicros ?? 0) / 1e6),
    ),
    gauge(
      "capstan_plugin_memory_bytes",
      "Memory of live instances.",
      each((host) => host.memoryBytes),
    ),
    gauge(
      "capstan_plugin_instances",
      "Live instances.",
      each((host) => host.instances),
    ),
    counter(
      "capstan_plugin_restarts_total",
      "Instances that were stopped.",
      each((host) => host.restarts),
    ),
    gauge("capstan_plugin_state", "1 for the state that a plugin is in.", states),
  ];
}
