/** What the load balancer's component is told of its process (config.host), and the path in its grant. */
import { join } from "node:path";
import { networkNames } from "./names.ts";

/** Where the load balancers' HAProxy has its configuration and sockets. */
export const balancerDir = (dataDir: string): string => join(dataDir, "load-balancer");

/** For the role "controllers": PluginHostOptions.facts and .variables. */
export function balancerFacts(o: { instance: string; dataDir: string }): {
  facts: Record<string, string>;
  variables: Record<string, string>;
} {
  const directory = balancerDir(o.dataDir);
  return {
    facts: { balancerLink: networkNames(o.instance).balancerLink, balancerDir: directory },
    variables: { balancerDir: directory },
  };
}
