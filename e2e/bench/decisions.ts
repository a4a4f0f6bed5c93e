/**
 * `node e2e/bench/decisions.ts`: what a scheduler with its components costs a pod, in CPU, without an API server: bindings are answered at
 * once and shown to it as a watch would. For comparing two versions on a machine that does other things as well.
 */
import { parseArgs } from "node:util";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { type GroupVersionResource, type KubeObject, TENANT_ANNOTATION } from "#sdk/api/object.ts";
import type { Client, WatchEvent } from "#sdk/client/port.ts";
import { startOurs } from "../scheduling/ours.ts";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "1000" },
    pods: { type: "string", default: "2000" },
    mixed: { type: "boolean", default: false },
    gang: { type: "string", default: "0" },
  },
});
const [nodeCount, podCount, gang] = [Number(values.nodes), Number(values.pods), Number(values.gang)];

const root = { [TENANT_ANNOTATION]: "root" };
const nodeOf = (i: number): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: {
    name: `n${i}`,
    uid: `node-${i}`,
    resourceVersion: "1",
    annotations: root,
    labels: { "kubernetes.io/hostname": `n${i}`, "topology.kubernetes.io/zone": `z${i % 3}` },
  },
  status: {
    allocatable: { cpu: "32", memory: "64Gi", pods: "110" },
    conditions: [{ type: "Ready", status: "True" }],
  },
});

/** As the load client's pods: twenty kinds, one after the other. */
function podOf(i: number): Pod {
  const app = { app: `a${i % 20}` };
  const member: Record<string, string> =
    gang > 0
      ? {
          "scheduling.capstan.dev/gang": `g${Math.trunc(i / gang)}`,
          "scheduling.capstan.dev/gang-min-count": `${gang}`,
        }
      : {};
  const labelSelector = { matchLabels: app };
  const mixed: Partial<Pod["spec"]> = {
    topologySpreadConstraints: [
      { maxSkew: 5, topologyKey: "topology.kubernetes.io/zone", whenUnsatisfiable: "DoNotSchedule", labelSelector },
    ],
    affinity: {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 10, podAffinityTerm: { topologyKey: "kubernetes.io/hostname", labelSelector } },
        ],
      },
    },
  };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `p-${i}`,
      namespace: "default",
      uid: `pod-${i}`,
      resourceVersion: "1",
      labels: app,
      annotations: { ...root, ...member },
    },
    spec: {
      schedulerName: "default-scheduler",
      containers: [{ name: "c", image: "pause", resources: { requests: { cpu: "100m", memory: "100Mi" } } }],
      ...(values.mixed ? mixed : {}),
    },
  };
}

/** Everything that is there, and then what is bound. */
function createApi(): { client: Client; last: Promise<void>; perNode: ReadonlyMap<string, number> } {
  const pods = new Map<string, Pod>();
  for (let i = 0; i < podCount; i++) pods.set(`p-${i}`, podOf(i));
  const nodes = Array.from({ length: nodeCount }, (_, i) => nodeOf(i));
  const bound = Promise.withResolvers<void>();
  const news: WatchEvent<Pod>[] = [];
  let wake = () => {};
  let count = 0;

  const initial = (r: GroupVersionResource): KubeObject[] => {
    if (r.resource === "pods") return [...pods.values()];
    return r.resource === "nodes" ? nodes : [];
  };
  async function* watch(
    r: GroupVersionResource,
    { signal }: { signal: AbortSignal },
  ): AsyncIterable<WatchEvent<never>> {
    signal.addEventListener("abort", () => wake(), { once: true });
    for (const object of initial(r)) yield { type: "ADDED", object: object as never };
    const annotations = { "k8s.io/initial-events-end": "true" };
    yield { type: "BOOKMARK", object: { metadata: { resourceVersion: "1", annotations } } };
    while (!signal.aborted) {
      if (r.resource === "pods") for (const event of news.splice(0)) yield event as never;
      await new Promise<void>((resolve) => {
        if (r.resource === "pods") wake = resolve;
        else signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }
  const perNode = new Map<string, number>();
  const bind = async (name: string, node: string) => {
    perNode.set(node, (perNode.get(node) ?? 0) + 1);
    if (count === 0) started = { cpu: process.cpuUsage(), at: performance.now() };
    // As over a connection: nothing is answered within the same turn.
    await new Promise((resolve) => setImmediate(resolve));
    const before = pods.get(name)!;
    const object: Pod = structuredClone(before);
    object.metadata.resourceVersion = String(count + 2);
    object.spec!.nodeName = node;
    pods.set(name, object);
    news.push({ type: "MODIFIED", object });
    wake();
    count++;
    if (count === podCount) bound.resolve();
  };
  const client = {
    tenant: () => client,
    watch,
    async create(_: GroupVersionResource, object: KubeObject, o?: { subresource?: string; name?: string }) {
      const { target } = object as KubeObject & { target?: { name: string } };
      if (o?.subresource === "binding") await bind(o.name ?? "", target?.name ?? "");
      return { ...object, metadata: { ...object.metadata, uid: "u" } };
    },
    patch: async () => ({ metadata: {} }),
    raw: async () => ({ code: 404, body: "" }),
    close: () => undefined,
  } as unknown as Client;
  return { client, last: bound.promise, perNode };
}

/** Of the first binding. */
let started = { cpu: process.cpuUsage(), at: performance.now() };
const { client, last, perNode } = createApi();
const running = await startOurs(client);
await last;
const { user, system } = process.cpuUsage(started.cpu);
const seconds = (performance.now() - started.at) / 1000;
const memory = Math.round(process.memoryUsage().rss / 2 ** 20);
process.stdout.write(
  `${podCount} pods on ${nodeCount} nodes: ${Math.round((user + system) / podCount)} µs of CPU a pod, ${Math.round(podCount / seconds)} pods/s, ${memory} MiB; nodes used ${perNode.size}, most pods on one ${Math.max(...perNode.values())}\n`,
);
await running.stop();
