/** What the network changes on the host's own namespace, in words, and how it is taken back. */
import { join } from "node:path";
import type { Family } from "#platform/rules/ranges.ts";
import { networkNames } from "../names.ts";
import { wordsOf } from "../nft/family.ts";
import { stopBalancers } from "./balancer.ts";
import { forgetTraffic } from "./prepare.ts";
import { type RunProgram, runProgram } from "./program.ts";
import { restoreSysctls } from "./sysctl.ts";

export const sysctlRecordFile = (dataDir: string): string => join(dataDir, "host-sysctls.json");

/** For a person, before anything is changed. */
export function hostChanges(o: { instance: string; nodes: number; families?: readonly Family[] }): string[] {
  const { families = ["IPv4"] } = o;
  const tables = families.map((family) => wordsOf(family).ip).join(" and ");
  const names = networkNames(o.instance);
  const common = [
    "kernel setting net.ipv4.ip_forward = 1 (packets are forwarded to and from pods)",
    ...(families.includes("IPv6")
      ? [
          "kernel settings net.ipv6.conf.all.forwarding = 1, and accept_ra = 2 where a router gives this host its routes",
        ]
      : []),
    "kernel setting net.bridge.bridge-nf-call-iptables = 1, where the kernel has it",
    `interface ${names.balancerLink} with the addresses of load balancers, once there are any`,
    "iptables rules of the CNI program portmap, for pods that ask for ports of the host",
    "where the policy of iptables' FORWARD or INPUT is DROP: rules that except the interfaces named here",
  ];
  return o.nodes > 1
    ? [
        `interface ${names.nodeBridge}, and for each node a network namespace ${names.namespace("NODE")} on it with routes to its pods`,
        `nftables table ip ${names.nodeTable} (the nodes' way out)`,
        ...common,
      ]
    : [
        `interface ${names.podBridge} (the bridge of the pods)`,
        `nftables tables ${tables} ${names.table} (services, and the pods' way out) and ${names.policyTable} (which pods may reach each other), and bridge ${names.guardTable} (pods use their own addresses only)`,
        ...common,
      ];
}

/** Takes back what is in the host's namespace; returns a line for each thing that was there. */
export async function undoHostChanges(
  o: { instance: string; dataDir: string },
  run: RunProgram = runProgram,
): Promise<string[]> {
  const names = networkNames(o.instance);
  const lines = (await stopBalancers(o.dataDir, run)) > 0 ? ["the load balancers' HAProxy is ended"] : [];
  for (const family of ["ip", "ip6"])
    for (const table of [names.table, names.policyTable, names.nodeTable])
      if ((await run("nft", ["delete", "table", family, table])).code === 0)
        lines.push(`nftables table ${family} ${table} is removed`);
  if ((await run("nft", ["delete", "table", "bridge", names.guardTable])).code === 0)
    lines.push(`nftables table bridge ${names.guardTable} is removed`);
  for (const link of [names.podBridge, names.nodeBridge, names.balancerLink]) {
    await forgetTraffic(link, run);
    if ((await run("ip", ["link", "delete", link])).code === 0) lines.push(`interface ${link} is removed`);
  }
  return [...lines, ...(await restoreSysctls(run, sysctlRecordFile(o.dataDir)))];
}
