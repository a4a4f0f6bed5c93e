/** Where a pod may run by its selector, its required node affinity and its tolerations (component-helpers' nodeaffinity, core/v1's tolerations). */
import type {
  Node,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodSpec,
  Taint,
  Toleration,
} from "#sdk/api/generated/types.ts";
import { type LabelOperator, matchesRequirement } from "#sdk/api/labels.ts";

const OPERATORS: Record<string, LabelOperator> = {
  In: "in",
  NotIn: "notin",
  Exists: "exists",
  DoesNotExist: "!",
  Gt: "gt",
  Lt: "lt",
};

const matchesAll = (expressions: readonly NodeSelectorRequirement[], labels: Record<string, string>): boolean =>
  expressions.every(({ key, operator, values }) => {
    const known = OPERATORS[operator];
    return known !== undefined && matchesRequirement({ key, operator: known, values: values ?? [] }, labels);
  });

/** An empty term matches no node. */
export function matchesNodeTerm(term: NodeSelectorTerm, node: Node): boolean {
  if (!term.matchExpressions?.length && !term.matchFields?.length) return false;
  return (
    matchesAll(term.matchExpressions ?? [], node.metadata.labels ?? {}) &&
    matchesAll(term.matchFields ?? [], { "metadata.name": node.metadata.name ?? "" })
  );
}

/** By name, selector and required affinity. */
export function selectsNode(spec: PodSpec | undefined, node: Node): boolean {
  if (spec?.nodeName && spec.nodeName !== node.metadata.name) return false;
  const labels = node.metadata.labels ?? {};
  if (!Object.entries(spec?.nodeSelector ?? {}).every(([key, value]) => labels[key] === value)) return false;
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return !terms || terms.some((term) => matchesNodeTerm(term, node));
}

/** An empty key with Exists tolerates everything. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  if (toleration.operator === "Exists") return true;
  return (toleration.operator || "Equal") === "Equal" && (toleration.value ?? "") === (taint.value ?? "");
}

/** The taints of these effects that nothing tolerates. */
export const untolerated = (
  tolerations: readonly Toleration[],
  taints: readonly Taint[],
  effects: readonly string[],
): Taint[] => taints.filter((taint) => effects.includes(taint.effect) && !tolerations.some((t) => tolerates(t, taint)));
