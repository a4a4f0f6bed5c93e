/**
 * What the policy rules are made of, and which of their parts a change concerns. Parts: "address/IP" (a pod of this node), "policy/KEY",
 * "peer/ID", "tenant/NAME", "node/NAME".
 */
import type { NetworkPolicy } from "#sdk/api/generated/types.ts";
import { matchesLabels } from "#sdk/api/labels.ts";
import { type FamilyWords, wordsOf } from "../nft/family.ts";
import type { Part } from "../nft/parts.ts";
import { type CompiledPolicy, compilePolicy } from "./compile.ts";
import { isPeer, type Peer, peerElements } from "./peers.ts";
import { namespaceKey, type PodFacts, PodTable } from "./pods.ts";
import { type Isolation, renderAddress, renderNode, renderPeer, renderPolicy, renderTenant } from "./render.ts";

type Labels = Readonly<Record<string, string>>;
const NO_LABELS: Labels = {};

interface KnownPeer {
  peer: Peer;
  policies: Set<string>;
}

/** An address that the agent gave a pod: known here before the API says so. */
export interface PlacedPod {
  /** "tenant/namespace/name" */
  key: string;
  uid: string;
  tenant: string;
  address: string;
  /** Of the second family, where there is one. */
  secondaryAddress?: string;
  /** Its cable, where that is known: the host's end, and the pod's hardware address. */
  cable?: { link: string; mac: string };
}

/** Of one address family. */
export class PolicyModel {
  private readonly words: FamilyWords;
  private readonly nodeName: string;
  private readonly touch: (part: string) => void;
  private readonly ownerChanged: (address: string | undefined) => void;
  private readonly pods = new PodTable();
  private readonly namespaces = new Map<string, Labels>();
  private readonly policies = new Map<string, CompiledPolicy>();
  private readonly inNamespace = new Map<string, Set<string>>();
  private readonly peers = new Map<string, KnownPeer>();
  private readonly placed = new Map<string, PlacedPod>();
  private readonly open = new Set<string>();
  private readonly gateways = new Map<string, string>();

  /** `touch` is told each part that may have changed, `ownerChanged` each address that may be another tenant's (undefined: any). */
  constructor(
    nodeName: string,
    touch: (part: string) => void,
    ownerChanged: (address: string | undefined) => void = () => undefined,
    words: FamilyWords = wordsOf("IPv4"),
  ) {
    this.words = words;
    this.nodeName = nodeName;
    this.touch = touch;
    this.ownerChanged = ownerChanged;
  }

  setPod(key: string, facts: PodFacts | undefined): void {
    const old = this.pods.set(key, facts);
    if (old && facts && sameFacts(old, facts)) return;
    for (const one of [old, facts]) {
      if (!one) continue;
      if (one.nodeName === this.nodeName) this.touchAddresses(one);
      if (one.addresses.length === 0) continue;
      if (old?.tenant !== facts?.tenant || !sameAddresses(old, facts))
        for (const a of one.addresses) this.ownerChanged(a);
      this.touch(`tenant/${one.tenant}`);
      const labels = this.labelsOf(one);
      for (const [id, { peer }] of this.peers) if (isPeer(peer, one, labels)) this.touch(`peer/${id}`);
    }
  }

  setNamespace(key: string, tenant: string, labels: Labels | undefined): void {
    if (labels) this.namespaces.set(key, labels);
    else this.namespaces.delete(key);
    for (const [id, { peer }] of this.peers) if (peer.tenant === tenant && peer.namespaces) this.touch(`peer/${id}`);
  }

  /** Throws for a policy that validation would not have let in. */
  setPolicy(key: string, policy: NetworkPolicy | undefined): void {
    const old = this.policies.get(key);
    const compiled = policy && compilePolicy(policy, this.words.family);
    for (const id of old?.peers.keys() ?? []) this.leavePeer(id, key);
    if (compiled) this.policies.set(key, compiled);
    else this.policies.delete(key);
    for (const [id, peer] of compiled?.peers ?? []) this.joinPeer(id, peer, key);
    this.touch(`policy/${key}`);
    for (const one of [old, compiled]) {
      if (!one) continue;
      const keys = this.inNamespace.get(namespaceKey(one)) ?? new Set();
      if (compiled) keys.add(key);
      else keys.delete(key);
      if (keys.size > 0) this.inNamespace.set(namespaceKey(one), keys);
      else this.inNamespace.delete(namespaceKey(one));
      for (const pod of this.pods.inNamespace(one.tenant, one.namespace))
        if (pod.nodeName === this.nodeName && matchesLabels(one.selector, pod.labels)) this.touchAddresses(pod);
    }
  }

  setOpen(tenant: string, open: boolean): void {
    if (this.open.has(tenant) === open) return;
    if (open) this.open.add(tenant);
    else this.open.delete(tenant);
    this.touch(`tenant/${tenant}`);
    this.ownerChanged(undefined);
  }

  /** `gateway`: the node's address in the range of its pods. */
  setNode(name: string, gateway: string | undefined): void {
    if (this.gateways.get(name) === gateway) return;
    if (gateway === undefined) this.gateways.delete(name);
    else this.gateways.set(name, gateway);
    this.touch(`node/${name}`);
  }

  place(pod: PlacedPod): void {
    this.unplace(pod.uid);
    this.placed.set(pod.uid, pod);
    this.touchPlaced(pod);
  }

  unplace(uid: string): void {
    const pod = this.placed.get(uid);
    if (!pod) return;
    this.placed.delete(uid);
    this.touchPlaced(pod);
  }

  /** The uid under which a pod is known. */
  uidOf(key: string): string | undefined {
    return this.pods.get(key)?.uid;
  }

  /** Whether pods of a tenant may reach an address, as far as tenants go. */
  mayReach(tenant: string, address: string): boolean {
    const owner = this.placedAt(address)?.tenant ?? this.pods.at(address)?.tenant;
    return owner === undefined || owner === tenant || (this.open.has(owner) && this.open.has(tenant));
  }

  hasNamespace(tenant: string, namespace: string): boolean {
    return this.namespaces.has(`${tenant}//${namespace}`);
  }

  /** Whether a policy selects the pod. */
  isIsolated(key: string): boolean {
    const facts = this.pods.get(key);
    const { ingress, egress } = facts ? this.isolation(facts) : NOT_ISOLATED;
    return ingress.length > 0 || egress.length > 0;
  }

  *keys(): Generator<string> {
    const tenants = new Set([...this.pods.tenantNames(), ...[...this.placed.values()].map((pod) => pod.tenant)]);
    for (const tenant of tenants) yield `tenant/${tenant}`;
    for (const address of new Set([...this.pods.allAddresses(), ...[...this.placed.values()].map((p) => p.address)]))
      yield `address/${address}`;
    for (const name of this.gateways.keys()) yield `node/${name}`;
    for (const key of this.policies.keys()) yield `policy/${key}`;
    for (const id of this.peers.keys()) yield `peer/${id}`;
  }

  render(part: string): Part | undefined {
    const at = part.indexOf("/");
    const [kind, name] = [part.slice(0, at), part.slice(at + 1)];
    if (kind === "address") return this.renderAddress(name);
    if (kind === "policy")
      return this.policies.has(name) ? renderPolicy(this.words, name, this.policies.get(name)!) : undefined;
    if (kind === "node") return this.gateways.has(name) ? renderNode(this.words, this.gateways.get(name)!) : undefined;
    if (kind === "tenant") return this.renderTenant(name);
    return this.renderPeer(name);
  }

  private renderAddress(address: string): Part | undefined {
    const placed = this.placedAt(address);
    const known = placed ? this.pods.get(placed.key) : this.pods.at(address);
    if (placed && known?.uid !== placed.uid) return renderAddress(this.words, address, placed.tenant, undefined);
    if (!known || known.nodeName !== this.nodeName) return undefined;
    return renderAddress(this.words, address, known.tenant, this.isolation(known));
  }

  private renderTenant(tenant: string): Part | undefined {
    const addresses = new Set([...this.pods.inTenant(tenant)].flatMap((pod) => pod.addresses));
    for (const pod of this.placed.values()) if (pod.tenant === tenant) addresses.add(pod.address);
    return addresses.size > 0 ? renderTenant(this.words, tenant, addresses, this.open.has(tenant)) : undefined;
  }

  private renderPeer(id: string): Part | undefined {
    const peer = this.peers.get(id)?.peer;
    if (!peer) return undefined;
    const { tenant, namespace } = peer;
    const pods = namespace === undefined ? this.pods.inTenant(tenant) : this.pods.inNamespace(tenant, namespace);
    const elements = new Set<string>();
    for (const pod of pods)
      if (isPeer(peer, pod, this.labelsOf(pod))) for (const one of peerElements(peer, pod)) elements.add(one);
    return renderPeer(this.words, id, peer, elements);
  }

  private isolation(pod: PodFacts): Isolation {
    const keys = [...(this.inNamespace.get(namespaceKey(pod)) ?? [])].sort();
    const selecting = keys.filter((key) => matchesLabels(this.policies.get(key)!.selector, pod.labels));
    return {
      ingress: selecting.filter((key) => this.policies.get(key)?.ingress),
      egress: selecting.filter((key) => this.policies.get(key)?.egress),
    };
  }

  private placedAt(address: string): PlacedPod | undefined {
    return [...this.placed.values()].find((pod) => pod.address === address);
  }

  private labelsOf(pod: PodFacts): Labels {
    return this.namespaces.get(`${pod.tenant}//${pod.namespace}`) ?? NO_LABELS;
  }

  private touchAddresses(pod: PodFacts): void {
    for (const address of pod.addresses) this.touch(`address/${address}`);
    for (const one of this.placed.values()) if (one.key === pod.key) this.touch(`address/${one.address}`);
  }

  private touchPlaced(pod: PlacedPod): void {
    this.touch(`address/${pod.address}`);
    this.touch(`tenant/${pod.tenant}`);
    this.ownerChanged(pod.address);
  }

  private joinPeer(id: string, peer: Peer, policy: string): void {
    const known = this.peers.get(id);
    if (known) known.policies.add(policy);
    else this.peers.set(id, { peer, policies: new Set([policy]) });
    this.touch(`peer/${id}`);
  }

  private leavePeer(id: string, policy: string): void {
    const known = this.peers.get(id);
    known?.policies.delete(policy);
    if (known?.policies.size === 0) this.peers.delete(id);
    this.touch(`peer/${id}`);
  }
}

const NOT_ISOLATED: Isolation = { ingress: [], egress: [] };

const sameAddresses = (a: PodFacts | undefined, b: PodFacts | undefined): boolean =>
  a?.addresses.join() === b?.addresses.join();
const sameFacts = (a: PodFacts, b: PodFacts): boolean => JSON.stringify(a) === JSON.stringify(b);
