/**
 * A node's services as one nftables table: for who wants to program them otherwise (IPVS, HAProxy, a switch), to begin with. IPv4. The node's
 * own rules stay for what leaves the cluster, for DNS, and to refuse addresses of services that nobody answers.
 */
import { readHost } from "#sdk/plugin/config.ts";
import { defineProxy } from "#sdk/plugin/define-node.ts";
import { run } from "#sdk/plugin/exec.ts";
import type { ServiceEndpoint, ServicePort } from "#sdk/plugin/types.ts";
import { type NodeFacts, rulesetOf, TABLE } from "./ruleset.ts";

const services = new Map<string, ServicePort>();
const endpoints = new Map<string, ServiceEndpoint[]>();

/** All at once: nobody sees a part of it. */
function load(ruleset: string): void {
  const { exitCode, stderr } = run("nft", { args: ["-f", "-"], stdin: ruleset });
  if (exitCode !== 0) throw new Error(`nft: ${stderr.trim()}`);
}

export const proxy = defineProxy({
  render({ whole, services: changed, endpoints: changedEndpoints, removed }) {
    if (whole) {
      services.clear();
      endpoints.clear();
    }
    for (const id of removed) {
      services.delete(id);
      endpoints.delete(id);
    }
    for (const service of changed) services.set(service.id, service);
    for (const [id, list] of changedEndpoints) endpoints.set(id, list);
    load(rulesetOf(services, endpoints, readHost() as NodeFacts));
  },
  remove: () => load(`table ip ${TABLE} {}\ndelete table ip ${TABLE}\n`),
});
