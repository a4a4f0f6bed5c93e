import type { Node } from "#sdk/api/generated/types.ts";
import { readConfig } from "#sdk/plugin/config.ts";
import { defineFilter, defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { NodeTable } from "#sdk/plugin/scheduling.ts";
import { type Labelled, TopologyRules } from "#sdk/plugin/topology.ts";
import type { PodClass } from "#sdk/plugin/types.ts";
import { AFFINITY_OUTCOMES, type AffinityPods, anyKeys, filterRule, groupOf, scoreRule } from "./affinity.ts";
import type { AffinityPod } from "./terms.ts";

const podOf = ({ object }: { object: string }) => JSON.parse(object) as AffinityPod;

const table = new NodeTable<Labelled, AffinityPods>(
  (object) => ({ labels: (JSON.parse(object) as Partial<Node>).metadata?.labels ?? {} }),
  (object) => groupOf(JSON.parse(object) as AffinityPod),
);
const groups = () => table.groups.values();
const filters = new TopologyRules(table, (pod) => filterRule(podOf(pod), groups()));
const scorers = new TopologyRules(table, (pod) => {
  const { hardPodAffinityWeight = 1, ignorePreferredTermsOfExistingPods = false } = readConfig<{
    hardPodAffinityWeight?: number;
    ignorePreferredTermsOfExistingPods?: boolean;
  }>();
  const asked = podOf(pod);
  const { podAffinity, podAntiAffinity } = asked.spec?.affinity ?? {};
  const prefers = [podAffinity, podAntiAffinity].some(
    (a) => a?.preferredDuringSchedulingIgnoredDuringExecution?.length,
  );
  if (ignorePreferredTermsOfExistingPods && !prefers) return { counters: [], judge: () => 0 };
  return scoreRule(asked, groups(), hardPodAffinityWeight);
});

/** Labels that some group's terms have named: another one makes what is remembered incomplete. */
const keys = new Set<string>();

export const nodes = defineNodes({
  sync(delta) {
    const before = keys.size;
    const changes = table.apply(delta);
    for (const { id } of delta.groups) {
      const group = table.groups.get(id);
      if (group) for (const key of anyKeys(group)) keys.add(key);
    }
    for (const rules of [filters, scorers]) {
      if (keys.size > before) rules.forgetAll();
      else rules.applied(delta, changes);
    }
  },
});

export const filter = defineFilter({
  evaluate: (pods, ids) => pods.map((pod) => ({ codes: filters.values(pod, ids), outcomes: AFFINITY_OUTCOMES })),
  update(pod: PodClass) {
    const { whole, nodes: changed, values } = filters.update(pod);
    return { whole, nodes: changed, codes: values, outcomes: AFFINITY_OUTCOMES };
  },
});

export const score = defineScore({
  score: (pods, ids) => pods.map((pod) => scorers.values(pod, ids)),
  update(pod) {
    const { whole, nodes: changed, values } = scorers.update(pod);
    return { whole, nodes: changed, scores: values };
  },
});
