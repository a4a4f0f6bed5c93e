/**
 * `--runtime-config`: which group versions are served beside those that always are. As upstream's flag: "GROUP/VERSION=true", "api/alpha=true",
 * "api/beta=true", "api/all=true", of which the narrower holds over the wider.
 */
import { optionalResources } from "#sdk/api/facts.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import type { FeatureGates } from "./features.ts";

/** Resources whose feature must be on, too. */
const GATES: Readonly<Record<string, string>> = {
  "workloads.scheduling.k8s.io": "GenericWorkload",
  "podgroups.scheduling.k8s.io": "GenericWorkload",
};
const WIDE = ["api/all", "api/ga", "api/beta", "api/alpha"];

/** Throws an Error that says what is wrong. */
export function parseRuntimeConfig(text = ""): ReadonlyMap<string, boolean> {
  const known = new Set([...WIDE, ...optionalResources().map(groupVersion)]);
  const found = new Map<string, boolean>();
  for (const part of text.split(",").filter((one) => one.trim() !== "")) {
    const [name = "", value = "true", more] = part.split("=").map((word) => word.trim());
    if (more !== undefined || !/^(true|false)$/i.test(value)) throw new Error(`invalid value ${part.trim()}`);
    const on = value.toLowerCase() === "true";
    if (!known.has(name)) throw new Error(`unknown api groups or versions: ${name}`);
    // What is GA is what the cluster itself works with.
    if (!on && (name === "api/all" || name === "api/ga")) throw new Error(`${name} is always served`);
    found.set(name, on);
  }
  return found;
}

/** Those of the optional resources that are served. */
export function enabledResources(config: ReadonlyMap<string, boolean>, features: FeatureGates): ResourceFacts[] {
  return optionalResources().filter((facts) => {
    const gate = GATES[`${facts.resource}.${facts.group}`];
    const stage = facts.version.includes("alpha") ? "api/alpha" : "api/beta";
    const wanted = config.get(groupVersion(facts)) ?? config.get(stage) ?? config.get("api/all") ?? false;
    return wanted && (gate === undefined || features.enabled(gate));
  });
}

const groupVersion = ({ group, version }: ResourceFacts): string => `${group}/${version}`;
