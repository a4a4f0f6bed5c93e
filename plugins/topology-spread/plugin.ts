import type { Node } from "#sdk/api/generated/types.ts";
import { defineFilter, defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { NodeTable } from "#sdk/plugin/scheduling.ts";
import { TopologyRules } from "#sdk/plugin/topology.ts";
import type { PodClass } from "#sdk/plugin/types.ts";
import { filterRule, SPREAD_OUTCOMES, type SpreadNode, type SpreadPod, type SpreadPods, scoreRule } from "./spread.ts";

const table = new NodeTable<SpreadNode, SpreadPods>(
  (object) => {
    const { metadata, spec } = JSON.parse(object) as Partial<Node>;
    return { name: metadata?.name ?? "", labels: metadata?.labels ?? {}, taints: spec?.taints ?? [] };
  },
  (object) => {
    const { tenant, terminating, metadata } = JSON.parse(object) as SpreadPod & { terminating: boolean };
    return { tenant, terminating, namespace: metadata.namespace ?? "", labels: metadata.labels ?? {} };
  },
);
const podOf = (pod: PodClass) => JSON.parse(pod.object) as SpreadPod;
const filters = new TopologyRules(table, (pod) => filterRule(podOf(pod)));
const scorers = new TopologyRules(table, (pod) => scoreRule(podOf(pod)));

export const nodes = defineNodes({
  sync(delta) {
    const changes = table.apply(delta);
    filters.applied(delta, changes);
    scorers.applied(delta, changes);
  },
});

export const filter = defineFilter({
  evaluate: (pods, ids) => pods.map((pod) => ({ codes: filters.values(pod, ids), outcomes: SPREAD_OUTCOMES })),
  update(pod) {
    const { whole, nodes: changed, values } = filters.update(pod);
    return { whole, nodes: changed, codes: values, outcomes: SPREAD_OUTCOMES };
  },
});

export const score = defineScore({
  score: (pods, ids) => pods.map((pod) => scorers.values(pod, ids)),
  update(pod) {
    const { whole, nodes: changed, values } = scorers.update(pod);
    return { whole, nodes: changed, scores: values };
  },
});
