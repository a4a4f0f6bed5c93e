/** PodTopologySpread as kube-scheduler has it, with the system's default constraints where a pod has none of its own. */
import type { LabelSelector, Pod, Taint, TopologySpreadConstraint } from "#sdk/api/generated/types.ts";
import { type LabelRequirements, labelRequirements, matchesLabels } from "#sdk/api/labels.ts";
import { type NodeRow, outcome } from "#sdk/plugin/scheduling.ts";
import { Counter, type Rule } from "#sdk/plugin/topology.ts";
import { judgeOf, type NodeLabels } from "../node-affinity/affinity.ts";
import { tolerates } from "../taints/taints.ts";

export interface SpreadNode extends NodeLabels {
  taints: Taint[];
}

/** A group of pods on nodes. */
export interface SpreadPods {
  tenant: string;
  namespace: string;
  labels: Record<string, string>;
  terminating: boolean;
}

export interface SpreadPod {
  tenant: string;
  metadata: { namespace?: string; labels?: Record<string, string> };
  spec?: Pod["spec"];
  /** Of the services and owners that select the pod. */
  defaultSelector?: LabelSelector;
}

const HOSTNAME = "kubernetes.io/hostname";
const ZONE = "topology.kubernetes.io/zone";
const MISSING_LABEL = outcome(["node(s) didn't match pod topology spread constraints (missing required label)"], true);
const TOO_MANY = outcome(["node(s) didn't match pod topology spread constraints"], false);
/** By the code that the filter's rule answers. */
export const SPREAD_OUTCOMES = [MISSING_LABEL, TOO_MANY];

const SYSTEM_DEFAULTS: readonly Pick<TopologySpreadConstraint, "maxSkew" | "topologyKey" | "whenUnsatisfiable">[] = [
  { maxSkew: 3, topologyKey: HOSTNAME, whenUnsatisfiable: "ScheduleAnyway" },
  { maxSkew: 5, topologyKey: ZONE, whenUnsatisfiable: "ScheduleAnyway" },
];

interface Constraint {
  maxSkew: number;
  minDomains: number;
  key: string;
  /** Undefined selects nothing. */
  selector: LabelRequirements | undefined;
  eligible: (row: NodeRow<SpreadNode>) => boolean;
}

function constraintOf(pod: SpreadPod, constraint: TopologySpreadConstraint): Constraint {
  const labels = pod.metadata.labels ?? {};
  const more = (constraint.matchLabelKeys ?? []).filter((key) => Object.hasOwn(labels, key));
  const own = labelRequirements(constraint.labelSelector);
  const selector = own && [...own, ...more.map((key) => ({ key, operator: "=" as const, values: [labels[key]!] }))];
  const affinity = judgeOf({ nodeSelector: pod.spec?.nodeSelector, affinity: pod.spec?.affinity });
  const tolerations = pod.spec?.tolerations ?? [];
  const keepsOut = (taint: Taint) =>
    (taint.effect === "NoSchedule" || taint.effect === "NoExecute") && !tolerations.some((t) => tolerates(t, taint));
  return {
    maxSkew: constraint.maxSkew,
    minDomains: constraint.minDomains ?? 1,
    key: constraint.topologyKey,
    selector,
    eligible: ({ facts }) =>
      (constraint.nodeAffinityPolicy === "Ignore" || affinity(facts) === undefined) &&
      (constraint.nodeTaintsPolicy !== "Honor" || !facts.taints.some(keepsOut)),
  };
}

/** An empty selector counts nothing, as upstream has it. */
function counterOf(pod: SpreadPod, { key, selector, eligible }: Constraint, keys: readonly string[]) {
  const counts = ({ tenant, namespace, labels, terminating }: SpreadPods) =>
    !terminating &&
    tenant === pod.tenant &&
    namespace === (pod.metadata.namespace ?? "") &&
    selector !== undefined &&
    selector.length > 0 &&
    matchesLabels(selector, labels);
  const hasAll = ({ labels }: SpreadNode) => keys.every((other) => Object.hasOwn(labels, other));
  return new Counter<SpreadNode, SpreadPods>(
    key,
    (group) => (counts(group) ? 1 : 0),
    (row) => hasAll(row.facts) && eligible(row),
  );
}

/** Codes: 0 fits, others are SPREAD_OUTCOMES[code - 1]. */
export function filterRule(pod: SpreadPod): Rule<SpreadNode, SpreadPods> {
  const hard = (pod.spec?.topologySpreadConstraints ?? []).filter((c) => c.whenUnsatisfiable === "DoNotSchedule");
  const constraints = hard.map((constraint) => constraintOf(pod, constraint));
  const keys = constraints.map(({ key }) => key);
  const counters = constraints.map((constraint) => counterOf(pod, constraint, keys));
  const self = constraints.map(({ selector }) => (selector && matchesLabels(selector, pod.metadata.labels) ? 1 : 0));
  const least: number[] = constraints.map(() => 0);
  const full: Uint8Array[] = constraints.map(() => new Uint8Array(0));
  const tooMany = (i: number, count: number) => count + self[i]! - least[i]! > constraints[i]!.maxSkew;
  const minimumOf = (i: number): number => {
    const { counts, present, domainCount } = counters[i]!;
    if (domainCount === 0 || domainCount < constraints[i]!.minDomains) return 0;
    let minimum = Number.POSITIVE_INFINITY;
    for (let domain = 0; domain < counts.length; domain++) {
      if (present[domain] === 1 && counts[domain]! < minimum) minimum = counts[domain]!;
    }
    return minimum;
  };
  /** Domains whose state changed: one that is full, or is not any more. */
  const flipped = (i: number, changed: Iterable<number> | undefined): number[] => {
    const { counts } = counters[i]!;
    const before = least[i];
    least[i] = minimumOf(i);
    const domains = changed && before === least[i] ? changed : counts.keys();
    const flips: number[] = [];
    for (const domain of domains) {
      const is = tooMany(i, counts[domain]!) ? 1 : 0;
      if (is === full[i]![domain]) continue;
      full[i]![domain] = is;
      flips.push(domain);
    }
    return flips;
  };
  return {
    counters,
    settle: (changed) =>
      counters.map(({ counts }, i) => {
        if (!changed) full[i] = new Uint8Array(counts.length);
        return flipped(i, changed?.[i]);
      }),
    judge(id) {
      for (let i = 0; i < counters.length; i++) {
        const domain = counters[i]!.domainOf(id);
        if (domain < 0) return 1;
        if (full[i]![domain] === 1) return 2;
      }
      return 0;
    },
  };
}

/** Normalized to the worst score, whatever others have. */
const NO_SCORE = -1;

/** Fewer is better: pods in the node's domains, the smaller domains weighing more. */
export function scoreRule(pod: SpreadPod): Rule<SpreadNode, SpreadPods> {
  const own = pod.spec?.topologySpreadConstraints ?? [];
  const defaults = SYSTEM_DEFAULTS.map((constraint) => ({ ...constraint, labelSelector: pod.defaultSelector }));
  const soft = (own.length > 0 ? own : defaults).filter((c) => c.whenUnsatisfiable === "ScheduleAnyway");
  const constraints = soft.map((constraint) => constraintOf(pod, constraint));
  // A node without a zone still spreads by host where nobody asked for zones.
  const keys = own.length > 0 ? constraints.map(({ key }) => key) : [];
  const counters = constraints.map((constraint) => counterOf(pod, constraint, keys));
  return {
    counters,
    judge(id) {
      let score = 0;
      for (const [i, counter] of counters.entries()) {
        const count = counter.at(id);
        if (count === undefined) {
          if (keys.length > 0) return NO_SCORE;
          continue;
        }
        score += count * Math.log(counter.domainCount + 2) + constraints[i]!.maxSkew - 1;
      }
      return Math.round(score);
    },
  };
}
