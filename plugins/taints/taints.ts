/** NodeUnschedulable and TaintToleration as kube-scheduler has them. */
import type { Taint, Toleration } from "#sdk/api/generated/types.ts";
import { outcome } from "#sdk/plugin/scheduling.ts";
import type { Outcome } from "#sdk/plugin/types.ts";

export interface NodeTaints {
  taints: Taint[];
  unschedulable: boolean;
}

const UNSCHEDULABLE: Taint = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };

/** core/v1's Toleration.ToleratesTaint; an empty key with Exists tolerates everything. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  switch (toleration.operator || "Equal") {
    case "Equal":
      return (toleration.value ?? "") === (taint.value ?? "");
    case "Exists":
      return true;
    default:
      return false;
  }
}

const tolerated = (tolerations: readonly Toleration[], taint: Taint): boolean =>
  tolerations.some((toleration) => tolerates(toleration, taint));

const CORDONED = outcome(["node(s) were unschedulable"], true);
const TAINTED = outcome(["node(s) had untolerated taint(s)"], true);

/** Undefined where the pod may go there. */
export function judge(tolerations: readonly Toleration[], node: NodeTaints): Outcome | undefined {
  if (node.unschedulable && !tolerated(tolerations, UNSCHEDULABLE)) return CORDONED;
  if (node.taints.length === 0) return undefined;
  const keepsOut = (taint: Taint) => taint.effect === "NoSchedule" || taint.effect === "NoExecute";
  return node.taints.some((taint) => keepsOut(taint) && !tolerated(tolerations, taint)) ? TAINTED : undefined;
}

/** How many taints of effect PreferNoSchedule are not tolerated: fewer is better. */
export function countAvoided(tolerations: readonly Toleration[], node: NodeTaints): number {
  if (node.taints.length === 0) return 0;
  const relevant = tolerations.filter(({ effect }) => !effect || effect === "PreferNoSchedule");
  return node.taints.filter((taint) => taint.effect === "PreferNoSchedule" && !tolerated(relevant, taint)).length;
}
