/** A NetworkPolicy as nftables rules: those of a rule's peers and ports that let a packet through; what comes to their end is not meant. */

import { type Family, rangeFamily } from "#platform/rules/ranges.ts";
import type { IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from "#sdk/api/generated/types.ts";
import { type LabelRequirements, labelRequirements } from "#sdk/api/labels.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { cidrText, parseCidr } from "../host/addresses.ts";
import { type FamilyWords, wordsOf } from "../nft/family.ts";
import type { Protocol } from "../objects.ts";
import { type Peer, peerId, peerSet } from "./peers.ts";

export interface CompiledPolicy {
  /** Of the family that the rules are for. */
  words: FamilyWords;
  tenant: string;
  namespace: string;
  /** The pods that it isolates. */
  selector: LabelRequirements;
  /** Rules that accept, by direction; undefined where the policy does not isolate. */
  ingress: string[] | undefined;
  egress: string[] | undefined;
  /** Sets that the rules name, by id. */
  peers: Map<string, Peer>;
}

type Direction = "ingress" | "egress";
const PROTOCOLS: readonly Protocol[] = ["TCP", "UDP", "SCTP"];
const everyPod = (): LabelRequirements => labelRequirements({}) ?? [];
const requirements = (selector: NetworkPolicyPeer["podSelector"]): LabelRequirements =>
  labelRequirements(selector ?? {}) ?? [];

/** Throws for a selector that validation would not have let in. */
export function compilePolicy(policy: NetworkPolicy, family: Family = "IPv4"): CompiledPolicy {
  const { spec = {} } = policy;
  const compiled: CompiledPolicy = {
    words: wordsOf(family),
    tenant: tenantOf(policy),
    namespace: policy.metadata.namespace ?? "",
    selector: requirements(spec.podSelector),
    ingress: undefined,
    egress: undefined,
    peers: new Map(),
  };
  const types = spec.policyTypes ?? ["Ingress", ...(spec.egress ? ["Egress"] : [])];
  if (types.includes("Ingress"))
    compiled.ingress = (spec.ingress ?? []).flatMap(({ from, ports }) => rules(compiled, "ingress", from, ports));
  if (types.includes("Egress"))
    compiled.egress = (spec.egress ?? []).flatMap(({ to, ports }) => rules(compiled, "egress", to, ports));
  return compiled;
}

function rules(
  compiled: CompiledPolicy,
  direction: Direction,
  peers: NetworkPolicyPeer[] | undefined,
  ports: NetworkPolicyPort[] | undefined,
): string[] {
  const one = peers?.length ? peers : [undefined];
  return one.flatMap((peer) => {
    const from = peer ? match(compiled, direction, peer) : "";
    if (from === undefined) return [];
    if (!ports?.length) return [`${from} accept`];
    const named = ports.flatMap(({ port, protocol }) =>
      typeof port === "string" ? [namedPort(compiled, direction, peer, port, protocolOf(protocol))] : [],
    );
    return [...numbered(ports), ...named].map((to) => `${from} ${to} accept`);
  });
}

const protocolOf = (text: string | undefined): Protocol => PROTOCOLS.find((known) => known === text) ?? "TCP";

/** The rule's condition on the other side's address; undefined for what no packet of this family can be. */
function match(compiled: CompiledPolicy, direction: Direction, peer: NetworkPolicyPeer): string | undefined {
  const { ip, family } = compiled.words;
  const field = `${ip} ${direction === "ingress" ? "saddr" : "daddr"}`;
  if (peer.ipBlock) return block(field, family, peer.ipBlock);
  return `${field} @${setOf(compiled, selection(compiled, peer))}`;
}

const selection = ({ tenant, namespace }: CompiledPolicy, peer: NetworkPolicyPeer): Peer => ({
  tenant,
  ...(peer.namespaceSelector ? { namespaces: requirements(peer.namespaceSelector) } : { namespace }),
  pods: requirements(peer.podSelector),
});

function block(field: string, family: Family, { cidr, except = [] }: IPBlock): string | undefined {
  const inFamily = (text: string) => (rangeFamily(text) === family ? parseCidr(text) : undefined);
  const range = inFamily(cidr);
  if (!range) return undefined;
  const holes = except.flatMap((text) => inFamily(text) ?? []);
  return [`${field} ${cidrText(range)}`, ...holes.map((hole) => `${field} != ${cidrText(hole)}`)].join(" ");
}

/** One condition a protocol: a whole protocol, ports, ranges. */
function numbered(ports: NetworkPolicyPort[]): string[] {
  return PROTOCOLS.flatMap((protocol) => {
    const own = ports.filter((one) => protocolOf(one.protocol) === protocol && typeof one.port !== "string");
    if (own.length === 0) return [];
    const name = protocol.toLowerCase();
    if (own.some(({ port }) => port === undefined)) return [`meta l4proto ${name}`];
    return [`${name} dport { ${merged(own).join(", ")} }`];
  });
}

/** Ranges that overlap are one: nftables refuses sets in which they do. */
function merged(ports: NetworkPolicyPort[]): string[] {
  const ranges = ports
    .map(({ port, endPort }): [number, number] => [Number(port), endPort ?? Number(port)])
    .sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [from, to] of ranges) {
    const last = joined.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`));
}

/** A port's name is the destination's: of the isolated pods themselves, or of those that they reach for. */
function namedPort(
  compiled: CompiledPolicy,
  direction: Direction,
  peer: NetworkPolicyPeer | undefined,
  name: string,
  protocol: Protocol,
): string {
  const { tenant, namespace, selector } = compiled;
  const destination: Peer =
    direction === "ingress"
      ? { tenant, namespace, pods: selector }
      : peer && !peer.ipBlock
        ? selection(compiled, peer)
        : { tenant, pods: everyPod() };
  return `${compiled.words.ip} daddr . meta l4proto . th dport @${setOf(compiled, { ...destination, port: { name, protocol } })}`;
}

function setOf({ peers }: CompiledPolicy, peer: Peer): string {
  const id = peerId(peer);
  peers.set(id, peer);
  return peerSet(id);
}
