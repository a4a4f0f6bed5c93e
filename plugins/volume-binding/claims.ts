/** A pod's claims as the scheduler tells of them (platform/scheduler/volumes.ts): field `claims` of the pod's projection. */
import type { LabelSelector, NodeSelector, TopologySelectorTerm } from "#sdk/api/generated/types.ts";

export interface ClaimFact {
  name: string;
  /** Why no node will do, in upstream's words. */
  problem?: string;
  /** ReadWriteOncePod. */
  exclusive?: boolean;
  /** The volume that it is bound to. */
  volume?: { affinity?: NodeSelector; labels?: Record<string, string> };
  /** What counts against a CSI driver's limit. */
  attach?: { driver: string; handle: string };
  /** It is bound when its pod has a node: volumes that would do, best first. */
  choices?: { name: string; affinity?: NodeSelector }[];
  /** A volume can be made for it: anywhere, or in these topologies. */
  provision?: TopologySelectorTerm[];
  /** Of nodes to which its driver can give a volume of this size; undefined: it does not say where it has room. */
  room?: LabelSelector[];
}

export const claimsOf = (object: string): ClaimFact[] => (JSON.parse(object) as { claims?: ClaimFact[] }).claims ?? [];
