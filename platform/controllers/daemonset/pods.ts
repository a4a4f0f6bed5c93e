/** The pod a DaemonSet wants on a node: pure (upstream: pkg/controller/daemon/util). */

import { selectsNode, untolerated } from "#platform/rules/node-fit.ts";
import type { DaemonSet, Node, NodeSelectorTerm, Pod, PodSpec, Toleration } from "#sdk/api/generated/types.ts";
import { podFrom } from "../pods.ts";

export const HASH_LABEL = "controller-revision-hash";
const GENERATION_LABEL = "pod-template-generation";
const GENERATION_ANNOTATION = "deprecated.daemonset.template.generation";

/** A node that has trouble keeps its daemons. */
const TOLERATED: Toleration[] = [
  { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" },
  { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute" },
  { key: "node.kubernetes.io/disk-pressure", operator: "Exists", effect: "NoSchedule" },
  { key: "node.kubernetes.io/memory-pressure", operator: "Exists", effect: "NoSchedule" },
  { key: "node.kubernetes.io/pid-pressure", operator: "Exists", effect: "NoSchedule" },
  { key: "node.kubernetes.io/unschedulable", operator: "Exists", effect: "NoSchedule" },
];
const NO_NETWORK: Toleration = {
  key: "node.kubernetes.io/network-unavailable",
  operator: "Exists",
  effect: "NoSchedule",
};

function tolerationsOf(spec: PodSpec | undefined): Toleration[] {
  const wanted = [...TOLERATED, ...(spec?.hostNetwork ? [NO_NETWORK] : [])];
  const own = spec?.tolerations ?? [];
  const has = (t: Toleration) =>
    own.some((o) => o.key === t.key && o.effect === t.effect && o.operator === t.operator && !o.value);
  return [...own, ...wanted.filter((t) => !has(t))];
}

/** Every required term also names the node: the scheduler then has one choice. */
function pinned(spec: PodSpec, node: string): PodSpec {
  const matchFields = [{ key: "metadata.name", operator: "In", values: [node] }];
  const nodeAffinity = spec.affinity?.nodeAffinity;
  const terms: NodeSelectorTerm[] = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [
    {},
  ];
  const requiredDuringSchedulingIgnoredDuringExecution = {
    nodeSelectorTerms: terms.map((term) => ({ ...term, matchFields })),
  };
  return {
    ...spec,
    affinity: {
      ...spec.affinity,
      nodeAffinity: { ...nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution },
    },
  };
}

export function daemonPod(ds: DaemonSet, node: string, hash: string): Pod {
  const pod = podFrom(ds.spec?.template, ds, { generateName: `${ds.metadata.name}-` });
  const generation = ds.metadata.annotations?.[GENERATION_ANNOTATION];
  pod.metadata.labels = {
    ...pod.metadata.labels,
    ...(generation ? { [GENERATION_LABEL]: generation } : {}),
    [HASH_LABEL]: hash,
  };
  const spec = pod.spec ?? { containers: [] };
  pod.spec = { ...pinned(spec, node), tolerations: tolerationsOf(spec) };
  return pod;
}

/** Where it is, or where it is bound to go. */
export function nodeOf(pod: Pod): string | undefined {
  if (pod.spec?.nodeName) return pod.spec.nodeName;
  const terms = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const field = terms?.[0]?.matchFields?.find((f) => f.key === "metadata.name" && f.operator === "In");
  return field?.values?.length === 1 ? field.values[0] : undefined;
}

/** Whether a new daemon is wanted there, and whether one that is there may stay. */
export function nodeWants(ds: DaemonSet, node: Node): { run: boolean; stay: boolean } {
  const spec = ds.spec?.template?.spec;
  if (!selectsNode(spec, node)) return { run: false, stay: false };
  const tolerations = tolerationsOf(spec);
  const taints = node.spec?.taints ?? [];
  const run = untolerated(tolerations, taints, ["NoSchedule", "NoExecute"]).length === 0;
  return { run, stay: run || untolerated(tolerations, taints, ["NoExecute"]).length === 0 };
}
