/**
 * Several nodes on one machine (`up --nodes N`): each agent has a network namespace of its own, joined by a cable (veth) to a
 * bridge on the host. Routes lead from the host to each node's pods and to the services (through the first node).
 * A single node uses the host's own namespace and needs nothing of this.
 */
import { execFileSync } from "node:child_process";
import { type Cidr, cidrOf, cidrText, nth, overlap, parseCidr } from "#platform/network/host/addresses.ts";
import { sysctlRecordFile } from "#platform/network/host/changes.ts";
import { allowTraffic, ensureBridge, forgetTraffic } from "#platform/network/host/prepare.ts";
import { inNamespace, mustRun, type RunProgram, runProgram } from "#platform/network/host/program.ts";
import { IP_FORWARD, IP6_FORWARD, setSysctl } from "#platform/network/host/sysctl.ts";
import { networkNames } from "#platform/network/names.ts";
import type { Config, NodeConfig } from "./config.ts";
import { UserError } from "./steps.ts";

const NODE_RANGE_PREFIX = 24;
/** The nodes' cable interface inside their namespaces. */
const NODE_LINK = "eth0";
/** Tried in this order; any private range will do that nothing on the host uses. */
const candidates = Array.from({ length: 64 }, (_, i) => `172.30.${i * 4}.0/${NODE_RANGE_PREFIX}`);

/** Ranges that the host has routes to (its own networks, VPNs, containers of others); the default route is none. */
export function hostRoutes(): Cidr[] {
  let text: string;
  try {
    text = execFileSync("ip", ["-j", "-4", "route", "show", "table", "all"], { encoding: "utf8" });
  } catch {
    return [];
  }
  return routeRanges(text);
}

/**
 * Service ranges whose rules are on this host, another instance's: they refuse what they do not serve, also after that instance's data
 * directory was deleted by hand.
 */
export function foreignServiceRanges(instance: string): Cidr[] {
  const list = (...args: string[]): string => {
    try {
      return execFileSync("nft", ["list", ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    } catch {
      // No nft, no right to ask, or a table without this chain.
      return "";
    }
  };
  const own = networkNames(instance);
  const tables = [...list("tables", "ip").matchAll(/^table ip (capstan_\w+)$/gm)].map(([, name]) => name ?? "");
  return tables
    .filter((name) => ![own.table, own.policyTable, own.nodeTable].includes(name))
    .flatMap((name) => refusedRanges(list("chain", "ip", name, "unserved")));
}

/** From the text of a node's chain for what no service serves. */
export const refusedRanges = (chain: string): Cidr[] =>
  [...chain.matchAll(/ip daddr (\S+) goto reject-chain/g)].flatMap(([, range]) => parseCidr(range ?? "") ?? []);

/** From the JSON of `ip -j route`. */
export function routeRanges(json: string): Cidr[] {
  const routes = JSON.parse(json === "" ? "[]" : json) as { dst?: string; dev?: string }[];
  return routes.flatMap(({ dst = "default" }) => {
    const cidr = dst === "default" ? undefined : parseCidr(dst.includes("/") ? dst : `${dst}/32`);
    return cidr && cidr.prefix > 0 ? [cidr] : [];
  });
}

/** The first candidate that overlaps nothing taken; undefined when none is left. */
export const freeRange = (ranges: readonly string[], taken: readonly Cidr[]): string | undefined =>
  ranges.find((range) => !taken.some((cidr) => overlap(cidr, cidrOf(range))));

/**
 * Gives every node of several a namespace and an address of its own; one node stays in the host's. Nodes that have their place
 * keep it. Pure but for the routes it is given.
 */
export function placeNodes(config: Config, taken: readonly Cidr[] = hostRoutes()): NodeConfig[] {
  if (config.nodes.length < 2 || config.nodes[0]?.componentsOnly)
    return config.nodes.map(({ netns: _, ...node }) => node);
  const names = networkNames(config.instance);
  const placed = config.nodes.find((node) => node.netns !== undefined);
  const range = placed
    ? cidrText(nodeRange(placed))
    : freeRange(candidates, [...taken, cidrOf(config.podCIDR), cidrOf(config.serviceCIDR)]);
  if (range === undefined)
    throw new UserError("no address range is free for the nodes (172.30.0.0/16 is in use)", "npm run up -- --nodes 1");
  return config.nodes.map((node, index) => ({
    ...node,
    netns: names.namespace(node.name),
    address: nth(cidrOf(range), index + 2),
    ...(node.secondary
      ? { secondary: { ...node.secondary, address: nth(cidrOf(secondRange(config.instance)), index + 2) } }
      : {}),
  }));
}

/** The nodes' own range of IPv6: a unique local one (RFC 4193), whose global ID is the instance's. */
const secondRange = (instance: string): string =>
  `fd${instance.slice(0, 2)}:${instance.slice(2)}:ca95::/64`.replace(/:0+(?=[0-9a-f])/g, ":");
const SECOND_PREFIX = 64;

const nodeRange = (node: NodeConfig): Cidr => cidrOf(`${node.address}/${NODE_RANGE_PREFIX}`);

/** The address at which a node's namespace reaches the host (its API server); undefined for a node in the host's namespace. */
export const hostAddressFor = (node: NodeConfig): string | undefined =>
  node.netns === undefined ? undefined : nth(nodeRange(node), 1);

/** What stands before a program to run it in a node's network; mounts and processes stay the host's. */
export const nodeCommandPrefix = (node: NodeConfig): string[] =>
  node.netns === undefined ? [] : ["nsenter", `--net=/run/netns/${node.netns}`, "--"];

/** Makes what is missing (all of it after a reboot). Idempotent; leaves running nodes alone. */
export async function ensureNodeNetworks(config: Config, run: RunProgram = runProgram): Promise<void> {
  const nodes = config.nodes.filter((node) => node.netns !== undefined);
  const [first] = nodes;
  if (!first) return;
  const names = networkNames(config.instance);
  const gateway = hostAddressFor(first)!;
  await setSysctl(IP_FORWARD, "1", run, sysctlRecordFile(config.dataDir));
  const second = config.secondary ? nth(cidrOf(secondRange(config.instance)), 1) : undefined;
  if (second) await setSysctl(IP6_FORWARD, "1", run, sysctlRecordFile(config.dataDir));
  const addresses = [`${gateway}/${NODE_RANGE_PREFIX}`, ...(second ? [`${second}/${SECOND_PREFIX}`] : [])];
  await ensureBridge(names.nodeBridge, addresses, run);
  await allowTraffic(names.nodeBridge, run);
  await mustRun(run, "nft", ["-f", "-"], wayOut("ip", names.nodeTable, names.nodeBridge, cidrText(nodeRange(first))));
  if (second)
    await mustRun(
      run,
      "nft",
      ["-f", "-"],
      wayOut("ip6", names.nodeTable, names.nodeBridge, secondRange(config.instance)),
    );
  for (const [index, node] of nodes.entries()) {
    await ensureNamespace(node, names.cable(index), names.nodeBridge, gateway, run);
    await mustRun(run, "ip", ["route", "replace", node.podCIDR, "via", node.address, "dev", names.nodeBridge]);
    for (const other of nodes)
      if (other !== node)
        await mustRun(inNamespace(node.netns!, run), "ip", ["route", "replace", other.podCIDR, "via", other.address]);
    if (second) await ensureSecondFamily(node, nodes, names.nodeBridge, second, run);
  }
  if (config.secondary && first.secondary?.address)
    await mustRun(run, "ip", routeTo(config.secondary.serviceCIDR, first.secondary.address, names.nodeBridge));
  await mustRun(run, "ip", ["route", "replace", config.serviceCIDR, "via", first.address, "dev", names.nodeBridge]);
}

const routeTo = (range: string, via: string, dev?: string): string[] => [
  ...["route", "replace", range, "via", via],
  ...(dev ? ["dev", dev] : []),
];

/** A node's address, way out and ways to the others, of the second family. */
async function ensureSecondFamily(
  node: NodeConfig,
  all: readonly NodeConfig[],
  bridge: string,
  gateway: string,
  run: RunProgram,
): Promise<void> {
  const inside = inNamespace(node.netns!, run);
  const { address = "", podCIDR = "" } = node.secondary ?? {};
  await mustRun(inside, "ip", ["address", "replace", `${address}/${SECOND_PREFIX}`, "dev", NODE_LINK, "nodad"]);
  await mustRun(inside, "ip", routeTo("default", gateway));
  await mustRun(run, "ip", routeTo(podCIDR, address, bridge));
  for (const { secondary } of all.filter((other) => other !== node))
    if (secondary?.address) await mustRun(inside, "ip", routeTo(secondary.podCIDR, secondary.address));
}

const wayOut = (ip: "ip" | "ip6", table: string, bridge: string, range: string) => `add table ${ip} ${table}
delete table ${ip} ${table}
add table ${ip} ${table}
add chain ${ip} ${table} postrouting { type nat hook postrouting priority 100; }
add rule ${ip} ${table} postrouting ${ip} saddr ${range} oifname != "${bridge}" masquerade
`;

async function ensureNamespace(
  node: NodeConfig,
  cable: string,
  bridge: string,
  gateway: string,
  run: RunProgram,
): Promise<void> {
  const inside = inNamespace(node.netns!, run);
  if ((await inside("ip", ["link", "show", "dev", "lo"])).code !== 0) {
    // A name whose namespace went with a reboot is left as a file.
    await run("ip", ["netns", "delete", node.netns!]);
    await mustRun(run, "ip", ["netns", "add", node.netns!]);
  }
  await mustRun(inside, "ip", ["link", "set", "dev", "lo", "up"]);
  if ((await inside("ip", ["link", "show", "dev", NODE_LINK])).code !== 0) {
    await run("ip", ["link", "delete", cable]);
    await mustRun(run, "ip", ["link", "add", cable, "type", "veth", "peer", "name", NODE_LINK, "netns", node.netns!]);
  }
  await mustRun(run, "ip", ["link", "set", "dev", cable, "master", bridge, "up"]);
  await mustRun(inside, "ip", ["address", "replace", `${node.address}/${NODE_RANGE_PREFIX}`, "dev", NODE_LINK]);
  await mustRun(inside, "ip", ["link", "set", "dev", NODE_LINK, "up"]);
  await mustRun(inside, "ip", ["route", "replace", "default", "via", gateway]);
}

/** Removes namespaces, cables, bridge, table and (with the bridge) routes; returns a line for each thing that was there. */
export async function removeNodeNetworks(config: Config, run: RunProgram = runProgram): Promise<string[]> {
  const names = networkNames(config.instance);
  const lines: string[] = [];
  // By their names: of nodes that the configuration no longer knows, too.
  const all = (await run("ip", ["netns", "list"])).stdout.split("\n").map((line) => line.split(" ")[0] ?? "");
  const namespaces = all.filter((name) => name.startsWith(names.namespace("")));
  for (const [index, name] of namespaces.entries()) {
    await run("ip", ["link", "delete", names.cable(index)]);
    if ((await run("ip", ["netns", "delete", name])).code === 0) lines.push(`network namespace ${name} is removed`);
  }
  await forgetTraffic(names.nodeBridge, run);
  if ((await run("ip", ["link", "delete", names.nodeBridge])).code === 0)
    lines.push(`interface ${names.nodeBridge} is removed`);
  for (const family of ["ip", "ip6"]) await run("nft", ["delete", "table", family, names.nodeTable]);
  return lines;
}

/**
 * One node has its pods and services in the host's namespace, several have them in their own: what the other way left behind would catch
 * the packets of this one. Only while no node runs.
 */
export async function leaveOtherLayout(config: Config, run: RunProgram = runProgram): Promise<void> {
  if (config.nodes[0]?.netns === undefined) {
    await removeNodeNetworks(config, run);
    return;
  }
  const { podBridge, table, policyTable, guardTable } = networkNames(config.instance);
  for (const family of ["ip", "ip6"])
    for (const one of [table, policyTable]) await run("nft", ["delete", "table", family, one]);
  await run("nft", ["delete", "table", "bridge", guardTable]);
  await forgetTraffic(podBridge, run);
  await run("ip", ["link", "delete", podBridge]);
}

/** An address of the host that pods and nodes reach; the endpoint of the service `kubernetes`. */
export function apiAddressForPods(config: Config): string | undefined {
  const [first] = config.nodes;
  if (!first) return undefined;
  return hostAddressFor(first) ?? nth(cidrOf(first.podCIDR), 1);
}
