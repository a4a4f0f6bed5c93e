/** Who a policy's rule means: a selection of a tenant's pods, in the kernel a set of their addresses that policies share. */
import { createHash } from "node:crypto";
import { formatLabelSelector, type LabelRequirements, matchesLabels } from "#sdk/api/labels.ts";
import type { FamilyWords } from "../nft/family.ts";
import type { Protocol } from "../objects.ts";
import type { PodFacts } from "./pods.ts";

export interface Peer {
  tenant: string;
  /** This namespace, or those whose labels are selected. */
  namespace?: string;
  namespaces?: LabelRequirements;
  pods: LabelRequirements;
  /** The set holds (address, protocol, port) of pods that have a port of this name, instead of addresses. */
  port?: { name: string; protocol: Protocol };
}

export const shortHash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12);

/** Equal peers have equal ids. */
export const peerId = (peer: Peer): string =>
  shortHash(
    JSON.stringify([
      peer.tenant,
      peer.namespace ?? null,
      peer.namespaces ? formatLabelSelector(peer.namespaces) : null,
      formatLabelSelector(peer.pods),
      peer.port ?? null,
    ]),
  );

export const peerSet = (id: string): string => `peer-${id}`;

export const peerDeclaration = (peer: Peer, { type }: FamilyWords): string =>
  peer.port ? `type ${type} . inet_proto . inet_service;` : `type ${type};`;

export function isPeer(peer: Peer, pod: PodFacts, namespaceLabels: Readonly<Record<string, string>>): boolean {
  if (pod.tenant !== peer.tenant) return false;
  if (peer.namespace !== undefined && pod.namespace !== peer.namespace) return false;
  if (peer.namespaces && !matchesLabels(peer.namespaces, namespaceLabels)) return false;
  return matchesLabels(peer.pods, pod.labels);
}

/** What a pod of the peer adds to its set. */
export function peerElements({ port }: Peer, pod: PodFacts): string[] {
  if (!port) return [...pod.addresses];
  return pod.ports
    .filter(({ name, protocol }) => name === port.name && protocol === port.protocol)
    .flatMap((one) => pod.addresses.map((address) => `${address} . ${one.protocol.toLowerCase()} . ${one.port}`));
}
