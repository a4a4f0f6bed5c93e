/** What a node's network stands on: programs, kernel, forwarding, and the bridge with the gateway's address. */
import { addressValue } from "#platform/rules/ranges.ts";
import { wordsFor } from "../nft/family.ts";
import { cidrOf, nth } from "./addresses.ts";
import { mustRun, type RunProgram } from "./program.ts";
import { BRIDGE_FILTER, BRIDGE_FILTER6, IP_FORWARD, IP6_FORWARD, readSysctl, setSysctl } from "./sysctl.ts";

export interface NodeNetworkOptions {
  bridge: string;
  /** This node's pods. The bridge gets the first address. */
  podCIDR: string;
  serviceCIDR: string;
  /** The ranges of the second address family, where there is one. */
  secondary?: { podCIDR: string; serviceCIDR: string };
  run: RunProgram;
  /** Where changed kernel settings of the host are written down; unset in a node's own namespace, which goes as a whole. */
  recordFile?: string;
}

export interface PreparedNetwork {
  /** The bridge's address: the pods' gateway, and where the node's DNS listens. */
  gateway: string;
  /** The same of the second family. */
  secondaryGateway?: string;
  /** Whether bridged packets pass netfilter. */
  bridgeFilter: boolean;
  /** What works less well than it could, one sentence each. */
  warnings: string[];
}

const programs: readonly { program: string; args: readonly string[]; from: string }[] = [
  { program: "nft", args: ["--version"], from: "nftables" },
  { program: "conntrack", args: ["--version"], from: "conntrack" },
  { program: "ip", args: ["-V"], from: "iproute2" },
];

/** What is missing for services and pod networks here, one sentence each with the way to mend it. Changes nothing. */
export async function missingForNetwork(run: RunProgram): Promise<string[]> {
  const missing: string[] = [];
  for (const { program, args, from } of programs)
    if ((await run(program, args)).code === 127) missing.push(`${program} is not installed: apt-get install ${from}`);
  if (missing.length > 0) return missing;
  // A check (-c) goes through the kernel without changing it.
  const probe =
    "add table ip capstan_probe\nadd chain ip capstan_probe x { type nat hook output priority -100; }\nadd rule ip capstan_probe x tcp dport 1 dnat ip to numgen random mod 2 map { 0 : 127.0.0.1 . 1, 1 : 127.0.0.1 . 2 }\nadd rule ip capstan_probe x fib daddr type local return\n";
  const result = await run("nft", ["-c", "-f", "-"], { input: probe });
  if (result.code !== 0)
    missing.push(
      `the kernel refuses nftables rules (${result.stderr.trim().split("\n")[0]}); it needs CONFIG_NF_TABLES with NFT_NAT, NFT_NUMGEN, NFT_FIB and NFT_MASQ (modprobe nf_tables), and this process CAP_NET_ADMIN`,
    );
  return missing;
}

/** Idempotent. Throws with what is missing, in words for a person. */
export async function prepareNodeNetwork(options: NodeNetworkOptions): Promise<PreparedNetwork> {
  const { run, bridge, recordFile } = options;
  const missing = await missingForNetwork(run);
  if (missing.length > 0) throw new Error(`the network cannot work on this node: ${missing.join("; ")}`);
  const families = [options, ...(options.secondary ? [options.secondary] : [])];
  const addresses = families.map(({ podCIDR }) => `${nth(cidrOf(podCIDR), 1)}/${cidrOf(podCIDR).prefix}`);
  const [gateway = "", secondaryGateway] = addresses.map((one) => one.split("/")[0] ?? "");
  for (const { podCIDR } of families) await forwardPackets(podCIDR, run, recordFile);
  await ensureBridge(bridge, addresses, run);
  const warnings: string[] = [];
  const filters = await Promise.all(families.map(({ podCIDR }) => filterBridges(podCIDR, run, recordFile)));
  const bridgeFilter = filters.every(Boolean);
  if (!bridgeFilter)
    warnings.push(
      "this kernel has no br_netfilter: network policies and the boundary between tenants do not hold among the pods of one node, and pods that reach a neighbour through a service are seen with the node's address instead of their own",
    );
  for (const [i, { serviceCIDR }] of families.entries())
    await routeToServices(serviceCIDR, bridge, i === 0 ? gateway : (secondaryGateway ?? ""), run);
  await allowTraffic(bridge, run);
  return { gateway, ...(secondaryGateway ? { secondaryGateway } : {}), bridgeFilter, warnings };
}

async function forwardPackets(podCIDR: string, run: RunProgram, recordFile: string | undefined): Promise<void> {
  if (wordsFor(podCIDR).family === "IPv4") {
    await setSysctl(IP_FORWARD, "1", run, recordFile);
    return;
  }
  const before = await readSysctl(IP6_FORWARD, run);
  if (before === undefined)
    throw new Error(`this kernel has no IPv6, and pods of this node are to have addresses of ${podCIDR}`);
  // A host that forwards stops taking its own routes from its routers, unless it is told to go on.
  if (before !== "1")
    for (const link of await routedByRouters(run))
      await setSysctl(`net.ipv6.conf.${link}.accept_ra`, "2", run, recordFile);
  await setSysctl(IP6_FORWARD, "1", run, recordFile);
}

/** Interfaces by which this host learnt a default route of IPv6. */
async function routedByRouters(run: RunProgram): Promise<string[]> {
  const { code, stdout } = await run("ip", ["-6", "-j", "route", "show", "default"]);
  if (code !== 0 || stdout.trim() === "") return [];
  const routes = JSON.parse(stdout) as { dev?: string; protocol?: string }[];
  return [
    ...new Set(routes.flatMap(({ dev, protocol }) => (protocol === "ra" && dev && !dev.includes(".") ? [dev] : []))),
  ];
}

/** A bridge with one address of a family, or one of each, up. Its hardware address is fixed: otherwise it would change with every pod that comes. */
export async function ensureBridge(name: string, addresses: readonly string[], run: RunProgram): Promise<void> {
  const [first = ""] = addresses;
  if ((await run("ip", ["link", "show", "dev", name])).code !== 0)
    await mustRun(run, "ip", ["link", "add", name, "address", hardwareAddress(first), "type", "bridge"]);
  // Of an earlier range: the CNI program refuses a bridge that has another address than its own.
  for (const other of await addressesOf(name, run))
    if (!addresses.includes(other)) await mustRun(run, "ip", ["address", "delete", other, "dev", name]);
  for (const address of addresses)
    await mustRun(run, "ip", [
      ...["address", "replace", address],
      // Nobody else has it, so nothing needs to wait until that was asked.
      ...(address.includes(":") ? ["dev", name, "nodad"] : ["brd", "+", "dev", name]),
    ]);
  await mustRun(run, "ip", ["link", "set", "dev", name, "up"]);
}

/** Made of the last four bytes of an address. */
function hardwareAddress(address: string): string {
  const value = addressValue(address.split("/")[0] ?? "") & 0xffff_ffffn;
  const octets = value.toString(16).padStart(8, "0").match(/../g) ?? [];
  return `0a:58:${octets.join(":")}`;
}

/** Addresses of an interface, in CIDR form; not those that the kernel gives it by itself. */
async function addressesOf(link: string, run: RunProgram): Promise<string[]> {
  const text = await mustRun(run, "ip", ["-j", "address", "show", "dev", link]);
  const links = JSON.parse(text) as { addr_info?: { local?: string; prefixlen?: number; scope?: string }[] }[];
  return links.flatMap(({ addr_info = [] }) =>
    addr_info.filter(({ scope }) => scope !== "link").map(({ local, prefixlen }) => `${local}/${prefixlen}`),
  );
}

async function filterBridges(podCIDR: string, run: RunProgram, recordFile: string | undefined): Promise<boolean> {
  const setting = wordsFor(podCIDR).family === "IPv4" ? BRIDGE_FILTER : BRIDGE_FILTER6;
  if ((await readSysctl(setting, run)) === undefined) await run("modprobe", ["br_netfilter"]);
  if ((await readSysctl(setting, run)) === undefined) return false;
  await setSysctl(setting, "1", run, recordFile);
  return true;
}

/**
 * The kernel looks for a route before it lets nftables choose an endpoint; a machine without a default route (a laptop
 * without network) has none to service addresses.
 */
async function routeToServices(serviceCIDR: string, bridge: string, gateway: string, run: RunProgram): Promise<void> {
  if ((await run("ip", ["route", "get", nth(cidrOf(serviceCIDR), 1)])).code === 0) return;
  await mustRun(run, "ip", ["route", "replace", serviceCIDR, "dev", bridge, "src", gateway]);
}

/** Where a policy of DROP would cut off pods, and the rules that except a link of ours from it. */
const exceptions = [
  { chain: "FORWARD", direction: "-i" },
  { chain: "FORWARD", direction: "-o" },
  { chain: "INPUT", direction: "-i" },
] as const;
const exception = (direction: string, link: string) => [
  direction,
  link,
  "-m",
  "comment",
  "--comment",
  "capstan",
  "-j",
  "ACCEPT",
];

/** Docker and firewalls set policies of FORWARD and INPUT to DROP: then our links are excepted. */
export async function allowTraffic(link: string, run: RunProgram): Promise<void> {
  for (const program of ["iptables", "ip6tables"])
    for (const { chain, direction } of exceptions) {
      const listed = await run(program, ["-S", chain]);
      if (listed.code !== 0 || !listed.stdout.startsWith(`-P ${chain} DROP`)) continue;
      if ((await run(program, ["-C", chain, ...exception(direction, link)])).code !== 0)
        await mustRun(run, program, ["-I", chain, ...exception(direction, link)]);
    }
}

export async function forgetTraffic(link: string, run: RunProgram): Promise<void> {
  for (const program of ["iptables", "ip6tables"])
    for (const { chain, direction } of exceptions) await run(program, ["-D", chain, ...exception(direction, link)]);
}
