/** What was decided lately and why, for people; and what the scheduler counts, in Prometheus' text form. */
import type { Asker } from "./answers.ts";
import type { Placement, Search } from "./decide.ts";
import type { FilterOutcome, SchedulingPlugins } from "./framework.ts";
import type { SchedulingQueue } from "./queue.ts";

const TRACES_MAX = 500;
const NODES_NAMED_MAX = 20;

export interface Trace {
  /** "tenant/namespace/name": the first of those that were decided about together. */
  pod: string;
  /** Milliseconds since the epoch. */
  at: number;
  /** Where it, and others like it, went; with the scores of the first by plugin, before weights. */
  placed?: { nodes: string[]; considered: number; score: number; byPlugin: Record<string, number> };
  /** Reason → how many nodes, and some of them. */
  refused?: Record<string, { count: number; nodes: string[] }>;
}

export interface Traces {
  placed(pod: string, placement: Placement, nameOf: (id: number) => string): void;
  refused(pod: string, failures: ReadonlyMap<number, FilterOutcome>, nameOf: (id: number) => string): void;
  /** The latest last; of one pod, or all. */
  list(pod?: string): Trace[];
}

/** Of what was only tried. */
export const noTraces: Traces = { placed: () => undefined, refused: () => undefined, list: () => [] };

export function createTraces(): Traces {
  const traces: Trace[] = [];
  const add = (trace: Trace) => {
    traces.push(trace);
    if (traces.length > TRACES_MAX) traces.splice(0, traces.length - TRACES_MAX);
  };
  return {
    placed(pod, { nodes, considered, top, byPlugin }, nameOf) {
      const placed = { nodes: nodes.slice(0, NODES_NAMED_MAX).map(nameOf), considered, score: top, byPlugin };
      add({ pod, at: Date.now(), placed });
    },
    refused(pod, failures, nameOf) {
      const refused: NonNullable<Trace["refused"]> = {};
      for (const [id, { reasons }] of failures) {
        for (const reason of reasons) {
          refused[reason] ??= { count: 0, nodes: [] };
          const said = refused[reason];
          said.count++;
          if (said.nodes.length < NODES_NAMED_MAX) said.nodes.push(nameOf(id));
        }
      }
      add({ pod, at: Date.now(), refused });
    },
    list: (pod) => (pod === undefined ? [...traces] : traces.filter((trace) => trace.pod === pod)),
  };
}

/** Attempts by how they ended. */
export type Attempts = Record<"scheduled" | "unschedulable" | "error" | "conflict", number>;

export interface Measured {
  attempts: Attempts;
  queue: SchedulingQueue;
  asker: Asker;
  plugins: SchedulingPlugins;
  /** By profile. */
  searches: ReadonlyMap<string, Search>;
}

/** Names are upstream's where upstream has the same. */
export function exposition({ attempts, queue, asker, plugins, searches }: Measured): string {
  const lines: string[] = [];
  const metric = (name: string, type: "counter" | "gauge", help: string, values: [labels: string, value: number][]) => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const [labels, value] of values) lines.push(`${name}${labels} ${value}`);
  };
  const by = (label: string, values: Readonly<Record<string, number>>): [string, number][] =>
    Object.entries(values).map(([key, value]) => [`{${label}=${JSON.stringify(key)}}`, value]);
  metric("scheduler_schedule_attempts_total", "counter", "Attempts to schedule pods.", by("result", attempts));
  metric("scheduler_pending_pods", "gauge", "Pods that wait for a node.", by("queue", queue.counts()));
  const searched = (of: "examined" | "spared" | "shortCircuited"): [string, number][] =>
    [...searches].map(([profile, { counts }]) => [`{profile=${JSON.stringify(profile)}}`, counts[of]]);
  metric("capstan_scheduler_nodes_examined_total", "counter", "Nodes looked at.", searched("examined"));
  metric(
    "capstan_scheduler_nodes_spared_total",
    "counter",
    "Nodes not looked at because enough were feasible.",
    searched("spared"),
  );
  metric(
    "capstan_scheduler_short_circuited_total",
    "counter",
    "Questions about a node that an earlier refusal made needless.",
    searched("shortCircuited"),
  );
  const { asked, cached, calls } = asker.counts;
  metric("capstan_scheduler_answers_total", "counter", "Answers of plugins by where they came from.", [
    ...by("from", { plugin: asked, memory: cached }),
  ]);
  metric("capstan_scheduler_plugin_calls_total", "counter", "Calls into plugins.", [["", calls]]);
  const filters = plugins
    .filters("root")
    .map((plugin): [string, ReturnType<Asker["power"]>] => [
      `{plugin=${JSON.stringify(plugin.name)}}`,
      asker.power(plugin),
    ]);
  metric(
    "capstan_scheduler_filter_cost_microseconds",
    "gauge",
    "What a filter costs a node, lately.",
    filters.map(([labels, { cost }]) => [labels, cost]),
  );
  metric(
    "capstan_scheduler_filter_rejected_ratio",
    "gauge",
    "Of the nodes a filter was asked about, how many it refused, lately.",
    filters.map(([labels, { rejects }]) => [labels, rejects]),
  );
  return `${lines.join("\n")}\n`;
}
