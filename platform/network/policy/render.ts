/**
 * What pods may reach each other, as a table of its own beside the services'. Three base chains of the forward hook, each of which lets
 * a packet through or drops it, after services have chosen the endpoint and before addresses are masqueraded:
 *
 *   forward-tenants  a pod of this node → tenant-… → @tenant-… (pods of its tenant), @open where root granted it; everything else is dropped
 *   forward-egress   → @egress-of → out-ADDRESS → egress-POLICY …, drop
 *   forward-ingress  → @ingress-of → in-ADDRESS → ingress-POLICY …, drop
 *
 * Connections that were let in go on. The node itself always reaches its pods, and they it (DNS, the API server): NetworkPolicy's own rule.
 */
import { type FamilyWords, inName, wordsFor } from "../nft/family.ts";
import { emptyRuleset, type NftSet, type Ruleset } from "../nft/ruleset.ts";
import { PRESENCE } from "../nft/table.ts";
import type { CompiledPolicy } from "./compile.ts";
import { type Peer, peerDeclaration, peerSet, shortHash } from "./peers.ts";

export interface PolicySettings {
  /** nftables table, of the family of the ranges. */
  table: string;
  nodeName: string;
  /** This node's pods. */
  nodePodCIDR: string;
  /** All nodes' pods. */
  podCIDR: string;
  serviceCIDR: string;
}

const VERDICTS = "type ADDRESS : verdict;";
/** ADDRESS is the family's type. */
const shared = {
  "tenant-of": { kind: "map", declaration: VERDICTS },
  "egress-of": { kind: "map", declaration: VERDICTS },
  "ingress-of": { kind: "map", declaration: VERDICTS },
  /** Pods of tenants that are open to each other. */
  open: { kind: "set", declaration: "type ADDRESS;" },
  /** Addresses that nodes have in their own pods' ranges: DNS, and the API server's for pods. */
  gateways: { kind: "set", declaration: "type ADDRESS;" },
  /** A pod that reaches itself, through a service. */
  self: { kind: "set", declaration: "type ADDRESS . ADDRESS;" },
} as const satisfies Record<string, Omit<NftSet, "elements">>;
type Shared = keyof typeof shared;
export const SHARED_SETS: ReadonlySet<string> = new Set(Object.keys(shared));

const declared = (set: Shared, { type }: FamilyWords): NftSet => ({
  ...shared[set],
  declaration: shared[set].declaration.replaceAll("ADDRESS", type),
  elements: new Map(),
});

const ESTABLISHED = "ct state established,related accept";
/** How neighbours on one bridge find each other is ICMPv6, where IPv4 has ARP; what they may say is the guard's business. */
const NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept";
const REFUSE = "refuse";

export function renderBase(settings: PolicySettings): Ruleset {
  const { nodePodCIDR, podCIDR, serviceCIDR } = settings;
  const words = wordsFor(podCIDR);
  const { ip } = words;
  const always = words.family === "IPv6" ? [ESTABLISHED, NEIGHBOURS] : [ESTABLISHED];
  const base = emptyRuleset();
  for (const name of Object.keys(shared) as Shared[]) base.sets.set(name, declared(name, words));
  const chain = (name: string, rules: string[], priority?: number) =>
    base.chains.set(
      name,
      priority === undefined ? { rules } : { hook: `type filter hook forward priority ${priority};`, rules },
    );
  chain(PRESENCE, []);
  chain(REFUSE, ["drop"]);
  chain(
    "forward-tenants",
    [
      ...always,
      `${ip} saddr != ${nodePodCIDR} accept`,
      `${ip} daddr != ${podCIDR} accept`,
      `${ip} daddr @gateways accept`,
      // What came to an address of a node or of a load balancer was published to everybody.
      `ct status dnat ct original ${ip} daddr != { ${podCIDR}, ${serviceCIDR} } accept`,
      `${ip} saddr vmap @tenant-of`,
      // An address that is nobody's yet.
      "drop",
    ],
    -12,
  );
  const self = `${ip} saddr . ${ip} daddr @self accept`;
  chain("forward-egress", [...always, self, `${ip} saddr vmap @egress-of`], -11);
  chain("forward-ingress", [...always, self, `${ip} daddr vmap @ingress-of`], -10);
  return base;
}

class Writer {
  readonly ruleset = emptyRuleset();
  private readonly words: FamilyWords;
  constructor(words: FamilyWords) {
    this.words = words;
  }
  element(set: Shared, key: string, value = ""): void {
    const known = this.ruleset.sets.get(set);
    if (known) known.elements.set(key, value);
    else this.ruleset.sets.set(set, { ...declared(set, this.words), elements: new Map([[key, value]]) });
  }
  set(name: string, declaration: string, elements: Iterable<string>): void {
    const own = new Map([...elements].map((key) => [key, ""]));
    this.ruleset.sets.set(name, { kind: "set", declaration, elements: own });
  }
  chain(name: string, rules: string[]): void {
    this.ruleset.chains.set(name, { rules });
  }
}

const plain = (text: string) => text.replace(/[^A-Za-z0-9/._-]/g, "_").slice(0, 90);
export const policyChain = (direction: "ingress" | "egress", key: string): string =>
  `${direction}-${shortHash(key)}/${plain(key)}`;
const tenantName = (tenant: string): string => `tenant-${shortHash(tenant)}/${plain(tenant)}`;

/** The chains that pods of the policy jump to. */
export function renderPolicy(words: FamilyWords, key: string, compiled: CompiledPolicy): { ruleset: Ruleset } {
  const { ingress, egress } = compiled;
  const writer = new Writer(words);
  if (ingress) writer.chain(policyChain("ingress", key), ingress);
  if (egress) writer.chain(policyChain("egress", key), egress);
  return writer;
}

export function renderPeer(
  words: FamilyWords,
  id: string,
  peer: Peer,
  elements: Iterable<string>,
): { ruleset: Ruleset } {
  const writer = new Writer(words);
  writer.set(peerSet(id), peerDeclaration(peer, words), elements);
  return writer;
}

export function renderNode(words: FamilyWords, gateway: string): { ruleset: Ruleset } {
  const writer = new Writer(words);
  writer.element("gateways", gateway);
  return writer;
}

/** A tenant's pods on all nodes. `open`: root granted it to be reached by, and to reach, others that are. */
export function renderTenant(
  words: FamilyWords,
  tenant: string,
  addresses: Iterable<string>,
  open: boolean,
): { ruleset: Ruleset } {
  const { ip, type } = words;
  const writer = new Writer(words);
  const all = [...addresses];
  const name = tenantName(tenant);
  writer.set(name, `type ${type};`, all);
  writer.chain(name, [`${ip} daddr @${name} accept`, ...(open ? [`${ip} daddr @open accept`] : []), "drop"]);
  if (open) for (const address of all) writer.element("open", address);
  return writer;
}

/** Keys of the policies that select a pod, by direction. */
export interface Isolation {
  ingress: string[];
  egress: string[];
}

/** A pod's address on this node. Without `isolation` it is not known yet what selects the pod: then nothing comes and goes but by the node. */
export function renderAddress(
  words: FamilyWords,
  address: string,
  tenant: string,
  isolation: Isolation | undefined,
): { ruleset: Ruleset } {
  const writer = new Writer(words);
  writer.element("tenant-of", address, `goto ${tenantName(tenant)}`);
  if (!isolation) {
    writer.element("egress-of", address, `goto ${REFUSE}`);
    writer.element("ingress-of", address, `goto ${REFUSE}`);
    return writer;
  }
  const isolate = (direction: "ingress" | "egress", map: Shared, chain: string) => {
    const policies = isolation[direction];
    if (policies.length === 0) return;
    writer.chain(chain, [...policies.map((key) => `jump ${policyChain(direction, key)}`), "drop"]);
    writer.element(map, address, `goto ${chain}`);
    writer.element("self", `${address} . ${address}`);
  };
  isolate("egress", "egress-of", `out-${inName(address)}`);
  isolate("ingress", "ingress-of", `in-${inName(address)}`);
  return writer;
}
