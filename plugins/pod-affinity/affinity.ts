/** InterPodAffinity as kube-scheduler has it. */
import { outcome } from "#sdk/plugin/scheduling.ts";
import { Counter, type Labelled, type Rule } from "#sdk/plugin/topology.ts";
import { type AffinityPod, type Term, type Terms, termsOf } from "./terms.ts";

/** A group of pods on nodes, with the terms it brings. */
export interface AffinityPods {
  pod: AffinityPod;
  terms: Terms;
}

export const groupOf = (pod: AffinityPod): AffinityPods => ({ pod, terms: termsOf(pod) });

const NOT_NEAR = outcome(["node(s) didn't match pod affinity rules"], true);
const TOO_NEAR = outcome(["node(s) didn't match pod anti-affinity rules"], false);
const UNWELCOME = outcome(["node(s) didn't satisfy existing pods anti-affinity rules"], false);
/** By the code that the filter's rule answers. */
export const AFFINITY_OUTCOMES = [NOT_NEAR, TOO_NEAR, UNWELCOME];

const keysOf = (terms: readonly Term[]): string[] => [...new Set(terms.map(({ key }) => key))];
type Counted = Counter<Labelled, AffinityPods>;
const someAt = (counter: Counted, node: number): boolean => (counter.at(node) ?? 0) > 0;

/** `groups`: those that are there; the rule is void when one comes whose terms have other keys (`anyKeys`). */
export function filterRule(pod: AffinityPod, groups: Iterable<AffinityPods>): Rule<Labelled, AffinityPods> {
  const { required, requiredAnti } = termsOf(pod);
  const selectedByAll = ({ pod: other }: AffinityPods) => (required.every((term) => term.selects(other)) ? 1 : 0);
  const near = required.map(({ key }) => new Counter<Labelled, AffinityPods>(key, selectedByAll));
  const away = requiredAnti.map(
    (term) => new Counter<Labelled, AffinityPods>(term.key, ({ pod: other }) => (term.selects(other) ? 1 : 0)),
  );
  const keys = keysOf([...groups].flatMap(({ terms }) => terms.requiredAnti));
  const unwelcome = keys.map(
    (key) =>
      new Counter<Labelled, AffinityPods>(
        key,
        ({ terms }) => terms.requiredAnti.filter((term) => term.key === key && term.selects(pod)).length,
      ),
  );
  // The first of those that want to be near to each other may go anywhere.
  const selectsItself = required.length > 0 && required.every((term) => term.selects(pod));
  const nobody = () => near.every(({ total }) => total === 0);
  let alone = true;
  const isNear = (node: number): boolean => {
    if (near.some((counter) => counter.at(node) === undefined)) return false;
    return near.every((counter) => someAt(counter, node)) || (alone && selectsItself);
  };
  return {
    counters: [...near, ...away, ...unwelcome],
    settle(changed) {
      const was = alone;
      alone = nobody();
      return changed && alone === was ? [...changed] : "all";
    },
    judge(node) {
      if (!isNear(node)) return 1;
      if (away.some((counter) => someAt(counter, node))) return 2;
      return unwelcome.some((counter) => someAt(counter, node)) ? 3 : 0;
    },
  };
}

/** More is better: what the pod prefers, and what the pods there prefer, by the domains of the node. */
export function scoreRule(
  pod: AffinityPod,
  groups: Iterable<AffinityPods>,
  hardWeight: number,
): Rule<Labelled, AffinityPods> {
  const own = termsOf(pod);
  const theirs = [...groups].flatMap(({ terms }) => [...terms.required, ...terms.preferred, ...terms.preferredAnti]);
  const weigh = (terms: readonly Term[], key: string, other: AffinityPod): number =>
    terms.reduce((sum, term) => (term.key === key && term.selects(other) ? sum + term.weight : sum), 0);
  const counters = keysOf([...own.preferred, ...own.preferredAnti, ...theirs]).map(
    (key) =>
      new Counter<Labelled, AffinityPods>(
        key,
        ({ pod: other, terms }) =>
          weigh(own.preferred, key, other) -
          weigh(own.preferredAnti, key, other) +
          hardWeight * weigh(terms.required, key, pod) +
          weigh(terms.preferred, key, pod) -
          weigh(terms.preferredAnti, key, pod),
      ),
  );
  return {
    counters,
    judge: (node) => counters.reduce((sum, counter) => sum + (counter.at(node) ?? 0), 0),
  };
}

/** Every label that terms of these groups name. */
export const anyKeys = ({ terms }: AffinityPods): string[] =>
  keysOf([...terms.required, ...terms.requiredAnti, ...terms.preferred, ...terms.preferredAnti]);
