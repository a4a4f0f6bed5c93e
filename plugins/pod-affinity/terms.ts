/** Pods as inter-pod affinity sees them, and whom a term selects. */
import type { Affinity, PodAffinityTerm, WeightedPodAffinityTerm } from "#sdk/api/generated/types.ts";
import { labelRequirements, matchesLabels } from "#sdk/api/labels.ts";

/** The projection of a pod, on a node or to be placed. */
export interface AffinityPod {
  tenant: string;
  namespaceLabels?: Record<string, string>;
  metadata?: { namespace?: string; labels?: Record<string, string> };
  spec?: { affinity?: Affinity };
}

export interface Term {
  key: string;
  weight: number;
  selects(other: AffinityPod): boolean;
}

/** Without namespaces and selector of namespaces, a term means its pod's own; never another tenant's. */
function termOf(pod: AffinityPod, term: PodAffinityTerm, weight: number): Term {
  const selector = labelRequirements(term.labelSelector);
  const ofNamespaces = labelRequirements(term.namespaceSelector);
  const own = !term.namespaces?.length && !ofNamespaces;
  const namespaces = new Set(own ? [pod.metadata?.namespace ?? ""] : (term.namespaces ?? []));
  return {
    key: term.topologyKey,
    weight,
    selects: ({ tenant, namespaceLabels, metadata }) =>
      selector !== undefined &&
      tenant === pod.tenant &&
      (namespaces.has(metadata?.namespace ?? "") ||
        (ofNamespaces !== undefined && matchesLabels(ofNamespaces, namespaceLabels))) &&
      matchesLabels(selector, metadata?.labels),
  };
}

export interface Terms {
  required: Term[];
  requiredAnti: Term[];
  preferred: Term[];
  preferredAnti: Term[];
}

export function termsOf(pod: AffinityPod): Terms {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  const hard = (terms: PodAffinityTerm[] | undefined) => (terms ?? []).map((term) => termOf(pod, term, 1));
  const soft = (terms: WeightedPodAffinityTerm[] | undefined) =>
    (terms ?? []).map(({ podAffinityTerm, weight }) => termOf(pod, podAffinityTerm, weight));
  return {
    required: hard(podAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    requiredAnti: hard(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    preferred: soft(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
    preferredAnti: soft(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
  };
}
