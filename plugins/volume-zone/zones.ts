/** VolumeZone as kube-scheduler has it: volumes that say by labels where they are. */
import { outcome } from "#sdk/plugin/scheduling.ts";
import type { Outcome } from "#sdk/plugin/types.ts";
import type { ClaimFact } from "../volume-binding/claims.ts";

const ELSEWHERE = outcome(["node(s) had no available volume zone"], true);
/** Each with the name that it had before. */
const KEYS = [
  ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"],
  ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"],
];

/** A volume of several zones has them as "a__b". */
const zonesOf = (value: string): string[] => value.split("__");

/** Undefined where the pod may go. A node without any of these labels takes volumes from everywhere. */
export function judge(claims: readonly ClaimFact[], labels: Record<string, string>): Outcome | undefined {
  if (!KEYS.flat().some((key) => Object.hasOwn(labels, key))) return undefined;
  for (const { volume } of claims) {
    for (const names of KEYS) {
      const value = names.map((name) => volume?.labels?.[name]).find((found) => found !== undefined);
      if (value === undefined) continue;
      const here = names.map((name) => labels[name]).find((found) => found !== undefined);
      if (here === undefined || !zonesOf(value).includes(here)) return ELSEWHERE;
    }
  }
  return undefined;
}
