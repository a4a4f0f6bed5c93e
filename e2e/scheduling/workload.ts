/** Pods and nodes of many kinds, the same each time, and a judge of where they went that knows no scheduler. */
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { parseQuantity, quantityMilliValue } from "#sdk/api/quantity.ts";

const ZONES = 3;
const ZONE = "topology.kubernetes.io/zone";
const HOST = "kubernetes.io/hostname";

export function nodesOf(count: number): Node[] {
  return Array.from({ length: count }, (_, i) => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: `n${i}`,
      labels: { [HOST]: `n${i}`, [ZONE]: `z${i % ZONES}`, disk: i % 4 === 0 ? "ssd" : "hdd" },
    },
    spec: { ...(i % 10 === 9 ? { taints: [{ key: "only", value: "batch", effect: "NoSchedule" }] } : {}) },
    status: {
      allocatable: { cpu: i % 2 === 0 ? "8" : "4", memory: "16Gi", pods: "30" },
      conditions: [{ type: "Ready", status: "True" }],
    },
  }));
}

type Spec = Omit<NonNullable<Pod["spec"]>, "containers">;

/** By what a pod asks for; the number tells its application. */
const KINDS: ((app: string) => { cpu: string; port?: number; spec: Spec })[] = [
  () => ({ cpu: "100m", spec: {} }),
  () => ({ cpu: "2", spec: {} }),
  () => ({ cpu: "200m", spec: { nodeSelector: { disk: "ssd" } } }),
  () => ({ cpu: "200m", spec: { tolerations: [{ key: "only", operator: "Exists" }], nodeSelector: { [ZONE]: "z0" } } }),
  (app) => ({
    cpu: "100m",
    spec: {
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: ZONE, whenUnsatisfiable: "DoNotSchedule", labelSelector: { matchLabels: { app } } },
      ],
    },
  }),
  (app) => ({
    cpu: "100m",
    spec: {
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: HOST, labelSelector: { matchLabels: { app } } },
          ],
        },
      },
    },
  }),
  (app) => ({
    cpu: "100m",
    spec: {
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: ZONE, labelSelector: { matchLabels: { app } } },
          ],
        },
      },
    },
  }),
  () => ({ cpu: "50m", port: 8080, spec: { nodeSelector: { disk: "ssd" } } }),
  () => ({ cpu: "16", spec: {} }),
  () => ({ cpu: "100m", spec: { nodeSelector: { disk: "tape" } } }),
];

export function podsOf(count: number): Pod[] {
  return Array.from({ length: count }, (_, i) => {
    const kind = i % KINDS.length;
    const app = `k${kind}-${Math.floor(i / KINDS.length) % 3}`;
    const { cpu, port, spec } = KINDS[kind]!(app);
    const ports = port ? [{ containerPort: port, hostPort: port }] : [];
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: `p${i}`, namespace: "default", labels: { app, kind: `k${kind}` } },
      spec: {
        ...spec,
        containers: [{ name: "c", image: "x", ports, resources: { requests: { cpu, memory: "64Mi" } } }],
      },
    };
  });
}

/** What is wrong with a placement; empty: nothing. */
export function faultsOf(pods: readonly Pod[], nodes: readonly Node[]): string[] {
  const byName = new Map(nodes.map((node) => [node.metadata.name, node]));
  const placed = pods.filter(({ spec }) => spec?.nodeName);
  const nodeOf = (pod: Pod) => byName.get(pod.spec?.nodeName)!;
  const domain = (pod: Pod, key: string) => nodeOf(pod).metadata.labels?.[key];
  const faults: string[] = [];
  for (const [name, node] of byName) {
    const here = placed.filter(({ spec }) => spec?.nodeName === name);
    const asked = here.reduce((sum, pod) => sum + milli(pod.spec?.containers[0]?.resources?.requests?.["cpu"]), 0);
    if (asked > milli(node.status?.allocatable?.["cpu"])) faults.push(`${name}: more cpu than there is`);
    if (here.length > Number(node.status?.allocatable?.["pods"])) faults.push(`${name}: too many pods`);
    const ports = here.filter(({ spec }) => spec?.containers[0]?.ports?.[0]?.hostPort);
    if (ports.length > 1) faults.push(`${name}: a host port twice`);
  }
  for (const pod of placed) {
    const { name = "" } = pod.metadata;
    const { nodeSelector = {}, tolerations = [], affinity } = pod.spec!;
    const labels = nodeOf(pod).metadata.labels ?? {};
    if (Object.entries(nodeSelector).some(([key, value]) => labels[key] !== value)) faults.push(`${name}: selector`);
    if (nodeOf(pod).spec?.taints?.some(({ key }) => key === "only") && tolerations.length === 0) {
      faults.push(`${name}: taint`);
    }
    const others = (key: string, selector: Parameters<typeof selectsLabels>[0]) =>
      placed.filter(
        (other) =>
          other !== pod && selectsLabels(selector, other.metadata.labels) && domain(other, key) === domain(pod, key),
      );
    for (const term of affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
      if (others(term.topologyKey, term.labelSelector).length > 0) faults.push(`${name}: anti-affinity`);
    }
    for (const term of affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
      const all = placed.filter((other) => selectsLabels(term.labelSelector, other.metadata.labels));
      if (all.length > 1 && others(term.topologyKey, term.labelSelector).length === 0) faults.push(`${name}: affinity`);
    }
  }
  return [...faults, ...skewFaults(placed, nodes, domain)];
}

function skewFaults(
  placed: readonly Pod[],
  nodes: readonly Node[],
  domain: (pod: Pod, key: string) => string | undefined,
): string[] {
  const domains = new Set(nodes.map(({ metadata }) => metadata.labels?.[ZONE]));
  return placed.flatMap(({ metadata, spec }) =>
    (spec?.topologySpreadConstraints ?? []).flatMap(({ labelSelector, maxSkew }) => {
      const alike = placed.filter((other) => selectsLabels(labelSelector, other.metadata.labels));
      const counts = [...domains].map((zone) => alike.filter((other) => domain(other, ZONE) === zone).length);
      return Math.max(...counts) - Math.min(...counts) > maxSkew ? [`${metadata.name}: spread`] : [];
    }),
  );
}

const milli = (text: string | number | undefined): number => quantityMilliValue(parseQuantity(text ?? "0"));

/** Standard deviation of the part of a node's cpu that is asked for: less is more even. */
export function unevenness(pods: readonly Pod[], nodes: readonly Node[]): number {
  const parts = nodes.map(({ metadata, status }) => {
    const here = pods.filter(({ spec }) => spec?.nodeName === metadata.name);
    const asked = here.reduce((sum, pod) => sum + milli(pod.spec?.containers[0]?.resources?.requests?.["cpu"]), 0);
    return asked / milli(status?.allocatable?.["cpu"]);
  });
  const mean = parts.reduce((sum, part) => sum + part, 0) / parts.length;
  return Math.sqrt(parts.reduce((sum, part) => sum + (part - mean) ** 2, 0) / parts.length);
}
