/** NodeName and NodeAffinity as kube-scheduler has them (component-helpers' nodeaffinity). */
import type { NodeSelectorRequirement, NodeSelectorTerm, Pod } from "#sdk/api/generated/types.ts";
import { type LabelOperator, matchesRequirement } from "#sdk/api/labels.ts";
import { outcome } from "#sdk/plugin/scheduling.ts";
import type { Outcome } from "#sdk/plugin/types.ts";

export interface NodeLabels {
  name: string;
  labels: Record<string, string>;
}

type Spec = Pick<NonNullable<Pod["spec"]>, "nodeName" | "nodeSelector" | "affinity">;

const operators: Record<string, LabelOperator> = {
  In: "in",
  NotIn: "notin",
  Exists: "exists",
  DoesNotExist: "!",
  Gt: "gt",
  Lt: "lt",
};

/** An operator that is none makes the whole term match nothing, as upstream's parsing error does. */
function matchesAll(expressions: readonly NodeSelectorRequirement[], labels: Record<string, string>): boolean {
  return expressions.every(({ key, operator, values }) => {
    const known = operators[operator];
    return known !== undefined && matchesRequirement({ key, operator: known, values: values ?? [] }, labels);
  });
}

const isEmpty = (term: NodeSelectorTerm): boolean => !term.matchExpressions?.length && !term.matchFields?.length;

/** An empty term matches no node. */
export function matchesTerm(term: NodeSelectorTerm, node: NodeLabels): boolean {
  if (isEmpty(term)) return false;
  return (
    matchesAll(term.matchExpressions ?? [], node.labels) &&
    matchesAll(term.matchFields ?? [], { "metadata.name": node.name })
  );
}

const OTHER_NAME = outcome(["node(s) didn't match the requested node name"], true);
const NO_MATCH = outcome(["node(s) didn't match Pod's node affinity/selector"], true);

/** For one pod: undefined where it may go. */
export function judgeOf(spec: Spec): (node: NodeLabels) => Outcome | undefined {
  const selector = Object.entries(spec.nodeSelector ?? {});
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return (node) => {
    if (spec.nodeName && spec.nodeName !== node.name) return OTHER_NAME;
    for (const [key, value] of selector) {
      if (!Object.hasOwn(node.labels, key) || node.labels[key] !== value) return NO_MATCH;
    }
    return terms && !terms.some((term) => matchesTerm(term, node)) ? NO_MATCH : undefined;
  };
}

/** The sum of the weights of the preferred terms that match. */
export function preference(spec: Spec, node: NodeLabels): number {
  const preferred = spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return preferred.reduce((sum, term) => sum + (matchesTerm(term.preference, node) ? term.weight : 0), 0);
}
