/** /metrics/resource and /metrics/cadvisor of the kubelet, from one summary; and its own /metrics. */
import { expositionText, type Metric, type Sample } from "#platform/base/exposition.ts";
import type { NodeContext, NodePod } from "../context.ts";
import type { Observer } from "../observe.ts";
import type { ContainerSummary, PodSummary, Summary } from "./summary.ts";

const seconds = (nanos: number): number => nanos / 1e9;
const startSeconds = (time: string): number => Date.parse(time) / 1000;

interface Place {
  pod: PodSummary;
  container: ContainerSummary;
}
const places = (summary: Summary): Place[] =>
  summary.pods.flatMap((pod) => pod.containers.map((container) => ({ pod, container })));

const labelsOf = ({ pod, container }: Place) => ({
  container: container.name,
  namespace: pod.podRef.namespace,
  pod: pod.podRef.name,
});
const podLabels = ({ podRef }: PodSummary) => ({ namespace: podRef.namespace, pod: podRef.name });

/** Values that are not known are left out. */
function family<T>(
  head: Pick<Metric, "name" | "help"> & { type: "gauge" | "counter" },
  of: readonly T[],
  labels: (one: T) => Record<string, string>,
  value: (one: T) => number | undefined,
): Metric {
  const samples = of.flatMap((one): Sample[] => {
    const found = value(one);
    return found === undefined ? [] : [{ labels: labels(one), value: found }];
  });
  return { ...head, samples };
}

const none = () => ({});

/** What metrics servers scrape (kubelet/metrics/collectors). */
export function resourceMetrics(summary: Summary): string {
  const all = places(summary);
  const cpu = "Cumulative cpu time consumed by the";
  const memory = "Current working set of the";
  return expositionText([
    family(
      { name: "container_cpu_usage_seconds_total", help: `[STABLE] ${cpu} container in core-seconds`, type: "counter" },
      all,
      labelsOf,
      ({ container }) => container.cpu && seconds(container.cpu.usageCoreNanoSeconds),
    ),
    family(
      { name: "container_memory_working_set_bytes", help: `[STABLE] ${memory} container in bytes`, type: "gauge" },
      all,
      labelsOf,
      ({ container }) => container.memory?.workingSetBytes,
    ),
    family(
      {
        name: "container_start_time_seconds",
        help: "[STABLE] Start time of the container since unix epoch in seconds",
        type: "gauge",
      },
      all,
      labelsOf,
      ({ container }) => startSeconds(container.startTime),
    ),
    family(
      { name: "node_cpu_usage_seconds_total", help: `[STABLE] ${cpu} node in core-seconds`, type: "counter" },
      [summary.node],
      none,
      (node) => seconds(node.cpu.usageCoreNanoSeconds),
    ),
    family(
      { name: "node_memory_working_set_bytes", help: `[STABLE] ${memory} node in bytes`, type: "gauge" },
      [summary.node],
      none,
      (node) => node.memory.workingSetBytes,
    ),
    family(
      { name: "pod_cpu_usage_seconds_total", help: `[STABLE] ${cpu} pod in core-seconds`, type: "counter" },
      summary.pods,
      podLabels,
      (pod) => pod.cpu && seconds(pod.cpu.usageCoreNanoSeconds),
    ),
    family(
      { name: "pod_memory_working_set_bytes", help: `[STABLE] ${memory} pod in bytes`, type: "gauge" },
      summary.pods,
      podLabels,
      (pod) => pod.memory?.workingSetBytes,
    ),
    {
      name: "resource_scrape_error",
      help: "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
      type: "gauge",
      samples: [{ value: 0 }],
    },
  ]);
}

/** The part of cAdvisor's metrics that dashboards and alerts are made of. */
export function cadvisorMetrics(summary: Summary, context: NodeContext, observer: Observer): string {
  const all = places(summary);
  const labels = (place: Place) => {
    const { uid } = place.pod.podRef;
    const one = observer
      .get(uid)
      .containers.find(({ name, state }) => name === place.container.name && state === "CONTAINER_RUNNING");
    return { ...labelsOf(place), id: one?.id ?? "", image: one?.image?.image ?? "", name: one?.id ?? "" };
  };
  const networks = summary.pods.flatMap((pod) => (pod.network?.interfaces ?? []).map((link) => ({ pod, link })));
  const linkLabels = ({ pod, link }: (typeof networks)[number]) => ({ ...podLabels(pod), interface: link.name });
  const gauge = (name: string, help: string, value: (place: Place) => number | undefined) =>
    family({ name, help, type: "gauge" }, all, labels, value);
  const counter = (name: string, help: string, value: (place: Place) => number | undefined) =>
    family({ name, help, type: "counter" }, all, labels, value);
  return expositionText([
    counter(
      "container_cpu_usage_seconds_total",
      "Cumulative cpu time consumed in seconds.",
      ({ container }) => container.cpu && seconds(container.cpu.usageCoreNanoSeconds),
    ),
    gauge(
      "container_memory_usage_bytes",
      "Current memory usage in bytes, including all memory regardless of when it was accessed",
      ({ container }) => container.memory?.usageBytes,
    ),
    gauge(
      "container_memory_working_set_bytes",
      "Current working set in bytes.",
      ({ container }) => container.memory?.workingSetBytes,
    ),
    gauge("container_memory_rss", "Size of RSS in bytes.", ({ container }) => container.memory?.rssBytes),
    gauge(
      "container_fs_usage_bytes",
      "Number of bytes that are consumed by the container on this filesystem.",
      ({ container }) => container.rootfs?.usedBytes,
    ),
    gauge("container_start_time_seconds", "Start time of the container since unix epoch in seconds.", ({ container }) =>
      startSeconds(container.startTime),
    ),
    gauge(
      "container_last_seen",
      "Last time a container was seen by the exporter",
      ({ container }) => container.cpu && startSeconds(container.cpu.time),
    ),
    family(
      { name: "container_network_receive_bytes_total", help: "Cumulative count of bytes received", type: "counter" },
      networks,
      linkLabels,
      ({ link }) => link.rxBytes,
    ),
    family(
      {
        name: "container_network_transmit_bytes_total",
        help: "Cumulative count of bytes transmitted",
        type: "counter",
      },
      networks,
      linkLabels,
      ({ link }) => link.txBytes,
    ),
    family(
      { name: "machine_cpu_cores", help: "Number of logical CPU cores.", type: "gauge" },
      [context.machine],
      none,
      ({ cpuMilli }) => cpuMilli / 1000,
    ),
    family(
      { name: "machine_memory_bytes", help: "Amount of memory installed on the machine.", type: "gauge" },
      [context.machine],
      none,
      ({ memoryBytes }) => memoryBytes,
    ),
  ]);
}

/** The agent's own. */
export function agentMetrics(context: NodeContext, observer: Observer, pods: readonly NodePod[]): string {
  const states = new Map<string, number>();
  for (const uid of observer.uids())
    for (const { state } of observer.get(uid).containers) {
      const name = state.replace("CONTAINER_", "").toLowerCase();
      states.set(name, (states.get(name) ?? 0) + 1);
    }
  const running = observer
    .uids()
    .filter((uid) => observer.get(uid).sandboxes.some(({ state }) => state === "SANDBOX_READY"));
  const used = process.cpuUsage();
  const one = (name: string, help: string, type: "gauge" | "counter", value: number, labels = {}): Metric => ({
    name,
    help,
    type,
    samples: [{ labels, value }],
  });
  return expositionText([
    one("kubelet_node_name", "[ALPHA] The node's name. The count is always 1.", "gauge", 1, {
      node: context.settings.name,
    }),
    one("kubelet_running_pods", "[ALPHA] Number of pods that have a running pod sandbox", "gauge", running.length),
    one(
      "kubelet_desired_pods",
      "[ALPHA] The number of pods the kubelet is being instructed to run.",
      "gauge",
      pods.length,
      { static: "" },
    ),
    {
      name: "kubelet_running_containers",
      help: "[ALPHA] Number of containers currently running",
      type: "gauge",
      samples: [...states].map(([state, value]) => ({ labels: { container_state: state }, value })),
    },
    one("kubernetes_build_info", "[ALPHA] A metric with a constant '1' value", "gauge", 1, {
      git_version: "v1.36.3",
      major: "1",
      minor: "36",
    }),
    one(
      "process_cpu_seconds_total",
      "Total user and system CPU time spent in seconds.",
      "counter",
      (used.user + used.system) / 1e6,
    ),
    one("process_resident_memory_bytes", "Resident memory size in bytes.", "gauge", process.memoryUsage.rss()),
    one(
      "process_start_time_seconds",
      "Start time of the process since unix epoch in seconds.",
      "gauge",
      Math.round(performance.timeOrigin / 1000),
    ),
  ]);
}
