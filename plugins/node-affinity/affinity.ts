/** NodeName and NodeAffinity as kube-scheduler has them (component-helpers' nodeaffinity). */
import type { NodeSelectorRequirement, NodeSelectorTerm, Pod } from "#sdk/api/generated/types.ts";
import { type LabelOperator, matchesRequirement } from "#sdk/api/labels.ts";
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

/** Undefined where the pod may go there. */
export function judge(spec: Spec, node: NodeLabels): Outcome | undefined {
  if (spec.nodeName && spec.nodeName !== node.name) {
    return { reasons: ["node(s) didn't match the requested node name"], unresolvable: true };
  }
  const selected = Object.entries(spec.nodeSelector ?? {}).every(
    ([key, value]) => Object.hasOwn(node.labels, key) && node.labels[key] === value,
  );
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (selected && (!required || required.nodeSelectorTerms.some((term) => matchesTerm(term, node)))) return undefined;
  return { reasons: ["node(s) didn't match Pod's node affinity/selector"], unresolvable: true };
}

/** The sum of the weights of the preferred terms that match. */
export function preference(spec: Spec, node: NodeLabels): number {
  const preferred = spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return preferred.reduce((sum, term) => sum + (matchesTerm(term.preference, node) ? term.weight : 0), 0);
}
