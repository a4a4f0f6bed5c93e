/** VolumeBinding's filter as kube-scheduler has it. */
import type { NodeSelector, TopologySelectorTerm } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { outcome } from "#sdk/plugin/scheduling.ts";
import type { Outcome } from "#sdk/plugin/types.ts";
import { matchesTerm, type NodeLabels } from "../node-affinity/affinity.ts";
import type { ClaimFact } from "./claims.ts";

const NOT_REACHED = "node(s) didn't match PersistentVolume's node affinity";
const NO_ROOM = "node(s) did not have enough free storage";
const NONE_FREE = "node(s) didn't find available persistent volumes to bind";

const reaches = (affinity: NodeSelector | undefined, node: NodeLabels): boolean =>
  !affinity || affinity.nodeSelectorTerms.some((term) => matchesTerm(term, node));

const allowed = (topologies: readonly TopologySelectorTerm[], { labels }: NodeLabels): boolean =>
  topologies.length === 0 ||
  topologies.some((term) =>
    (term.matchLabelExpressions ?? []).every(({ key, values }) => {
      const value = labels[key];
      return value !== undefined && values.includes(value);
    }),
  );

/** A claim that is not bound yet takes the best volume that is left, or waits for one to be made. Why not all of them can be bound. */
function unbound(claims: readonly ClaimFact[], node: NodeLabels): string | undefined {
  const taken = new Set<string>();
  for (const { choices = [], provision, room } of claims) {
    const choice = choices.find(({ name, affinity }) => !taken.has(name) && reaches(affinity, node));
    if (choice) taken.add(choice.name);
    else if (provision === undefined || !allowed(provision, node)) return NONE_FREE;
    else if (room?.some((topology) => selectsLabels(topology, node.labels)) === false) return NO_ROOM;
  }
  return undefined;
}

/** Undefined where the pod may go. */
export function judge(claims: readonly ClaimFact[], node: NodeLabels): Outcome | undefined {
  const problem = claims.find((claim) => claim.problem !== undefined)?.problem;
  // Most are about the pod, whatever node.
  if (problem !== undefined) return outcome([problem.startsWith("node(s)") ? problem : `pod: ${problem}`], true);
  const reasons: string[] = [];
  if (!claims.every(({ volume }) => !volume || reaches(volume.affinity, node))) reasons.push(NOT_REACHED);
  const open = claims.filter(({ volume }) => !volume);
  const why = unbound(open, node);
  if (why) reasons.push(why);
  return reasons.length > 0 ? outcome(reasons, true) : undefined;
}
