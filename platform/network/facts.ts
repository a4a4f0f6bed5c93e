/** What the network's first-party components are told of their process (config.host), and the paths in their grants. */
import { join } from "node:path";
import { networkNames } from "./names.ts";

export interface ComponentFacts {
  /** For PluginHostOptions.facts. */
  facts: Record<string, string>;
  /** For PluginHostOptions.variables: {cniDir}, {balancerDir}. */
  variables: Record<string, string>;
}

/** For the role "node" (world network). `nodeDir`: DATA/nodes/NAME. */
export function networkFacts(o: { instance: string; nodeDir: string; podCIDR: string }): ComponentFacts {
  const cniDir = join(o.nodeDir, "cni");
  return { facts: { bridge: networkNames(o.instance).podBridge, podCIDR: o.podCIDR, cniDir }, variables: { cniDir } };
}

/** Where the load balancer's HAProxy has its configuration and sockets. */
export const balancerDir = (dataDir: string): string => join(dataDir, "load-balancer");

/** For the role "controllers" (world controller). */
export function balancerFacts(o: { instance: string; dataDir: string }): ComponentFacts {
  const directory = balancerDir(o.dataDir);
  return {
    facts: { balancerLink: networkNames(o.instance).balancerLink, balancerDir: directory },
    variables: { balancerDir: directory },
  };
}
