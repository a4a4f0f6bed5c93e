/**
 * Services as nftables rules, in the way of kube-proxy's nftables mode: a packet's (address, protocol, port) is looked up
 * in a verdict map, so that the cost does not grow with the number of services.
 *
 *   nat prerouting/output → services → @service-ips, @service-nodeports → svc-… (choose an endpoint, dnat)
 *                                                      or ext-… (from outside: masquerade or local endpoints) → svc-…/loc-…
 *   filter prerouting/output (before nat) → @firewall-ips → fw-…            loadBalancerSourceRanges
 *   filter input/forward/output (after nat) → unserved → @no-endpoint-…     reject (no endpoints) or drop (none here)
 *   nat postrouting → masquerade: marked, hairpin, and pods' traffic that leaves the cluster
 */
import { createHash } from "node:crypto";
import { borrowsApiAddress } from "#platform/rules/api-service.ts";
import { canonicalAddress, familyOf } from "#platform/rules/ranges.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { cidrText, parseCidr } from "../host/addresses.ts";
import { type FamilyWords, inName, withPort, wordsFor } from "../nft/family.ts";
import { emptyRuleset, type NftSet, type Ruleset } from "../nft/ruleset.ts";
import { PRESENCE } from "../nft/table.ts";
import { type EndpointSlice, PROXY_NAME_LABEL, type Service, type ServicePort } from "../objects.ts";
import { type Backend, backendsOf, isPort, type Place, type PortBackends, type Usable } from "./endpoints.ts";

export interface ProxySettings {
  /** nftables table, of the family of the ranges. */
  table: string;
  nodeName: string;
  /** Bridge of this node's pods. */
  bridge: string;
  /** This node's pods. */
  nodePodCIDR: string;
  /** All nodes' pods. */
  podCIDR: string;
  serviceCIDR: string;
  /** Bridged packets pass netfilter (br_netfilter); without it same-bridge service traffic must be masqueraded. */
  bridgeFilter: boolean;
  /** This node's DNS server, reached at the cluster's DNS address. */
  dns?: { serviceAddress: string; address: string; port: number };
}

/** The bit that says "masquerade me"; the same that kube-proxy uses. */
const MARK = "0x4000";
const setMark = `meta mark set meta mark or ${MARK}`;
const ADDRESS_KEY = "ADDRESS . inet_proto . inet_service : verdict;";
const PORT_KEY = "type inet_proto . inet_service : verdict;";

/** Sets that all services share: declared by the base, filled by each service. ADDRESS is the family's type. */
const shared = {
  "service-ips": { kind: "map", declaration: `type ${ADDRESS_KEY}` },
  "service-nodeports": { kind: "map", declaration: PORT_KEY },
  "no-endpoint-services": { kind: "map", declaration: `type ${ADDRESS_KEY}` },
  "no-endpoint-nodeports": { kind: "map", declaration: PORT_KEY },
  "firewall-ips": { kind: "map", declaration: `type ${ADDRESS_KEY}` },
  hairpin: { kind: "set", declaration: "type ADDRESS . ADDRESS;" },
} as const satisfies Record<string, Omit<NftSet, "elements">>;
type Shared = keyof typeof shared;
export const SHARED_SETS: ReadonlySet<string> = new Set(Object.keys(shared));

function sharedSets({ type }: FamilyWords): Map<string, NftSet> {
  const of = ([name, { kind, declaration }]: [string, Omit<NftSet, "elements">]): [string, NftSet] => [
    name,
    { kind, declaration: declaration.replaceAll("ADDRESS", type), elements: new Map() },
  ];
  return new Map(Object.entries(shared).map(of));
}

const localPort = ({ ip, loopback }: FamilyWords) =>
  `fib daddr type local ${ip} daddr != ${loopback} meta l4proto . th dport vmap`;
const byAddress = ({ ip }: FamilyWords) => `${ip} daddr . meta l4proto . th dport vmap`;

/** What is there before any service. */
export function renderBase(settings: ProxySettings): Ruleset {
  const words = wordsFor(settings.serviceCIDR);
  const base: Ruleset = { ...emptyRuleset(), sets: sharedSets(words) };
  const chain = (name: string, rules: string[], hook?: string) =>
    base.chains.set(name, hook === undefined ? { rules } : { hook, rules });
  chain(PRESENCE, []);
  // ICMP is limited in rate, a reset is not: every refused connection learns it at once.
  chain("reject-chain", ["meta l4proto tcp reject with tcp reset", "reject"]);
  chain("services", [
    ...dnsRules(settings),
    `${byAddress(words)} @service-ips`,
    `${localPort(words)} @service-nodeports`,
  ]);
  chain("unserved", [
    `${byAddress(words)} @no-endpoint-services`,
    `${localPort(words)} @no-endpoint-nodeports`,
    `${words.ip} daddr ${settings.serviceCIDR} goto reject-chain`,
  ]);
  chain("nat-prerouting", ["jump services"], "type nat hook prerouting priority -100;");
  chain("nat-output", ["jump services"], "type nat hook output priority -100;");
  chain("nat-postrouting", masqueradeRules(settings), "type nat hook postrouting priority 100;");
  for (const hook of ["prerouting", "output"])
    chain(
      `firewall-${hook}`,
      [`ct state new ${byAddress(words)} @firewall-ips`],
      `type filter hook ${hook} priority -110;`,
    );
  for (const hook of ["input", "forward", "output"])
    chain(`filter-${hook}`, ["ct state new jump unserved"], `type filter hook ${hook} priority 0;`);
  return base;
}

function dnsRules({ dns }: ProxySettings): string[] {
  if (!dns) return [];
  const { ip } = wordsFor(dns.serviceAddress);
  const to = withPort(dns.address, dns.port);
  return ["udp", "tcp"].map((p) => `${ip} daddr ${dns.serviceAddress} ${p} dport 53 dnat to ${to}`);
}

function masqueradeRules(settings: ProxySettings): string[] {
  const { nodePodCIDR, podCIDR, bridge } = settings;
  const { ip, multicast } = wordsFor(podCIDR);
  return [
    `meta mark and ${MARK} == ${MARK} meta mark set meta mark xor ${MARK} masquerade fully-random`,
    `ct status dnat ${ip} saddr . ${ip} daddr @hairpin masquerade fully-random`,
    ...(settings.bridgeFilter
      ? []
      : [`ct status dnat ${ip} saddr ${nodePodCIDR} ${ip} daddr ${nodePodCIDR} masquerade`]),
    // Pods keep their addresses among each other, on every node; only what leaves the cluster takes the node's.
    `${ip} saddr ${nodePodCIDR} ${ip} daddr != { ${podCIDR}, ${multicast} } oifname != "${bridge}" masquerade fully-random`,
  ];
}

/** One service's part of the table, and where its UDP flows go (for conntrack). */
export interface Fragment {
  ruleset: Ruleset;
  /** "address:port" of the service (ANY_ADDRESS for its node port) → endpoints "address:port"; UDP only. */
  udp: Map<string, Set<string>>;
}

/** Of the node: any address that it has. */
export const ANY_ADDRESS = "*";

const ROOT = "root";

/** The service's address of a family; "" where it has none. */
const addressOf = ({ spec }: Service, { family }: FamilyWords): string =>
  canonicalAddress((spec?.clusterIPs ?? [spec?.clusterIP ?? ""]).find((ip) => familyOf(ip) === family) ?? "");

/** Headless, ExternalName, another proxy's, or answered by the API server. */
export const ignored = (service: Service, { serviceCIDR }: ProxySettings) =>
  service.spec?.type === "ExternalName" ||
  borrowsApiAddress(service, tenantOf(service) === ROOT, serviceCIDR) ||
  addressOf(service, wordsFor(serviceCIDR)) === "" ||
  service.metadata.labels?.[PROXY_NAME_LABEL] !== undefined;

/** What of the world outside the service decides about its endpoints. */
export interface Where {
  /** The node's zone. */
  zone: string;
  usable: Usable;
}

/** Undefined for a service that needs no rules (headless, ExternalName, another proxy's). */
export function renderService(
  service: Service,
  slices: readonly EndpointSlice[],
  settings: ProxySettings,
  where: Where = { zone: "", usable: () => true },
): Fragment | undefined {
  if (ignored(service, settings)) return undefined;
  const { family } = wordsFor(settings.serviceCIDR);
  const ruleset: Ruleset = { ...emptyRuleset(), sets: sharedSets(wordsFor(settings.serviceCIDR)) };
  const fragment: Fragment = { ruleset, udp: new Map() };
  const place: Place = { nodeName: settings.nodeName, zone: where.zone };
  for (const port of service.spec?.ports ?? [])
    if (isPort(port.port))
      new PortWriter(fragment, service, port, backendsOf(port, slices, place, where.usable, family), settings).write();
  return fragment;
}

const hash = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 10);
const NAME_CHARACTERS_MAX = 110;
/**
 * Up to so many endpoints are chosen by a rule each instead of by a map: the kernel looks through all sets of a table for the name of each
 * anonymous map, so that eight thousand of them take nine seconds, and rules a quarter of one.
 */
const RULES_MAX = 16;

/** Writes the rules of one port of one service into its fragment. */
class PortWriter {
  private readonly suffix: string;
  private readonly protocol: string;
  private readonly backends: PortBackends;
  private readonly spec: NonNullable<Service["spec"]>;
  private readonly fragment: Fragment;
  private readonly service: Service;
  private readonly port: ServicePort;
  private readonly settings: ProxySettings;
  private readonly words: FamilyWords;
  /** The cluster IP of this family. */
  private readonly clusterIP: string;

  constructor(
    fragment: Fragment,
    service: Service,
    port: ServicePort,
    backends: PortBackends,
    settings: ProxySettings,
  ) {
    this.fragment = fragment;
    this.service = service;
    this.port = port;
    this.settings = settings;
    this.words = wordsFor(settings.serviceCIDR);
    this.clusterIP = addressOf(service, this.words);
    this.spec = service.spec ?? {};
    this.protocol = (port.protocol ?? "TCP").toLowerCase();
    const name = `${keyOf(service)}/${this.protocol}/${port.port}`;
    this.suffix = `${hash(name)}/${name.replace(/[^A-Za-z0-9/._-]/g, "_")}`.slice(0, NAME_CHARACTERS_MAX);
    this.backends = backends;
  }

  write(): void {
    const { cluster, local } = this.backends;
    const outside = this.outsideAddresses();
    const nodePort = isPort(this.port.nodePort) ? this.port.nodePort : undefined;
    const external = outside.length > 0 || nodePort !== undefined;
    const internalLocal = this.spec.internalTrafficPolicy === "Local";
    const externalLocal = this.spec.externalTrafficPolicy === "Local";
    const { clusterIP } = this;
    if (cluster.length > 0) this.balance("svc", cluster);
    if (local.length > 0 && (internalLocal || (external && externalLocal))) this.balance("loc", local);
    if (cluster.length > 0 && external) this.writeExternal(externalLocal, local.length > 0);
    for (const backend of local) this.element("hairpin", `${backend.address} . ${backend.address}`, "");

    // No endpoint at all: refused at once. None on this node, where the policy asks for one: dropped, as upstream does.
    const refusal = cluster.length === 0 ? "goto reject-chain" : "drop";
    const [inChain, inOk] = internalLocal ? ["loc", local.length > 0] : ["svc", cluster.length > 0];
    if (inOk) this.toService(clusterIP, `goto ${inChain}-${this.suffix}`);
    else this.element("no-endpoint-services", this.key(clusterIP), refusal);
    const outOk = externalLocal ? local.length > 0 : cluster.length > 0;
    for (const address of outside) {
      if (cluster.length > 0) this.toService(address, `goto ext-${this.suffix}`);
      if (!outOk) this.element("no-endpoint-services", this.key(address), refusal);
    }
    if (nodePort !== undefined) {
      if (cluster.length > 0)
        this.element("service-nodeports", `${this.protocol} . ${nodePort}`, `goto ext-${this.suffix}`);
      this.flows(ANY_ADDRESS, nodePort);
      if (!outOk) this.element("no-endpoint-nodeports", `${this.protocol} . ${nodePort}`, refusal);
    }
    this.writeFirewall();
  }

  private key(address: string): string {
    return `${address} . ${this.protocol} . ${this.port.port}`;
  }

  private element(set: Shared, key: string, value: string): void {
    this.fragment.ruleset.sets.get(set)!.elements.set(key, value);
  }

  private chain(kind: string, rules: string[]): void {
    this.fragment.ruleset.chains.set(`${kind}-${this.suffix}`, { rules });
  }

  private toService(address: string, verdict: string): void {
    this.element("service-ips", this.key(address), verdict);
    this.flows(address, this.port.port);
  }

  private flows(address: string, port: number): void {
    if (this.protocol !== "udp") return;
    const endpoints = this.backends.cluster.map((b) => withPort(b.address, b.port));
    this.fragment.udp.set(withPort(address, port), new Set(endpoints));
  }

  /** External IPs, and load balancer addresses whose traffic arrives here unchanged (ipMode VIP). */
  private outsideAddresses(): string[] {
    const external = (this.spec.externalIPs ?? []).filter((ip) => familyOf(ip) === this.words.family);
    return [...new Set([...external.map(canonicalAddress), ...this.balancerAddresses()])];
  }

  private balancerAddresses(): string[] {
    if (this.spec.type !== "LoadBalancer") return [];
    return (this.service.status?.loadBalancer?.ingress ?? []).flatMap((ingress) =>
      ingress.ip !== undefined && familyOf(ingress.ip) === this.words.family && ingress.ipMode !== "Proxy"
        ? [canonicalAddress(ingress.ip)]
        : [],
    );
  }

  private writeExternal(externalLocal: boolean, hasLocal: boolean): void {
    const all = `goto svc-${this.suffix}`;
    if (!externalLocal) {
      this.chain("ext", [setMark, all]);
      return;
    }
    // Pods and the node itself are inside: they may use every endpoint. Others keep their address and stay on this node.
    this.chain("ext", [
      `${this.words.ip} saddr ${this.settings.podCIDR} ${all}`,
      `fib saddr type local ${setMark}`,
      `fib saddr type local ${all}`,
      ...(hasLocal ? [`goto loc-${this.suffix}`] : []),
    ]);
  }

  private writeFirewall(): void {
    const ranges = (this.spec.loadBalancerSourceRanges ?? []).flatMap((range) => parseCidr(range.trim()) ?? []);
    const addresses = this.balancerAddresses();
    if (ranges.length === 0 || addresses.length === 0) return;
    // Ranges of the other family alone let nobody of this one in.
    const family = this.words.family === "IPv4" ? 4 : 6;
    const allowed = [...new Set(ranges.filter((range) => range.family === family).map(cidrText))];
    this.chain("fw", [...allowed.map((range) => `${this.words.ip} saddr ${range} return`), "drop"]);
    for (const address of addresses) this.element("firewall-ips", this.key(address), `goto fw-${this.suffix}`);
  }

  /** A chain that sends to one of the endpoints, each equally often. */
  private balance(kind: "svc" | "loc", backends: Backend[]): void {
    const { ip } = this.words;
    const fromOutside =
      kind === "svc" ? [`${ip} daddr ${this.clusterIP} ${ip} saddr != ${this.settings.podCIDR} ${setMark}`] : [];
    if (this.spec.sessionAffinity === "ClientIP") {
      this.balanceSticky(kind, backends, fromOutside);
      return;
    }
    const layer4 = `meta l4proto ${this.protocol}`;
    const choices =
      backends.length <= RULES_MAX
        ? backends.map(({ address, port }, i) => {
            const left = backends.length - i;
            const chance = left > 1 ? `numgen random mod ${left} 0 ` : "";
            return `${layer4} ${chance}dnat to ${withPort(address, port)}`;
          })
        : [
            `${layer4} dnat ${ip} to numgen random mod ${backends.length} map { ${backends
              .map((b, i) => `${i} : ${b.address} . ${b.port}`)
              .join(", ")} }`,
          ];
    this.chain(kind, [...fromOutside, ...choices]);
  }

  /** With ClientIP affinity each endpoint has a set of the clients it served, and goes on serving until they time out. */
  private balanceSticky(kind: "svc" | "loc", backends: Backend[], first: string[]): void {
    const seconds = this.spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800;
    const { ip, type } = this.words;
    const names = backends.map((backend) => {
      const name = `${hash(`${this.suffix} ${backend.address} ${backend.port} ${seconds}`)}/${inName(backend.address)}/${backend.port}`;
      this.fragment.ruleset.sets.set(`aff-${name}`, {
        kind: "set",
        declaration: `type ${type}; flags dynamic,timeout; timeout ${seconds}s;`,
        dynamic: true,
        elements: new Map(),
      });
      this.fragment.ruleset.chains.set(`ep-${name}`, {
        rules: [
          `update @aff-${name} { ${ip} saddr }`,
          `meta l4proto ${this.protocol} dnat to ${withPort(backend.address, backend.port)}`,
        ],
      });
      return name;
    });
    this.chain(kind, [
      ...first,
      ...names.map((name) => `${ip} saddr @aff-${name} goto ep-${name}`),
      `numgen random mod ${names.length} vmap { ${names.map((name, i) => `${i} : goto ep-${name}`).join(", ")} }`,
    ]);
  }
}
