/** Whether a request falls into a freeze; pure. */
import type { AccessAttributes, AccessDecision } from "#sdk/plugin/types.ts";

export interface FreezeConfig {
  /** Names; a star at the end means all that begin so. */
  namespaces?: string[];
  /** RFC 3339; without it the freeze lasts until it is taken out. */
  until?: string;
  exemptGroups?: string[];
}

const READS = ["get", "list", "watch"];
const SILENT: AccessDecision = { verdict: "no-opinion", reason: "" };

const isNamed = (pattern: string, namespace: string): boolean =>
  pattern.endsWith("*") ? namespace.startsWith(pattern.slice(0, -1)) : pattern === namespace;

/** `now` in milliseconds since the epoch. */
export function judge(config: FreezeConfig, asked: AccessAttributes, now: number): AccessDecision {
  const { namespaces = [], until, exemptGroups = [] } = config;
  if (asked.resource === "" || asked.namespace === "" || READS.includes(asked.verb)) return SILENT;
  if (!namespaces.some((pattern) => isNamed(pattern, asked.namespace))) return SILENT;
  if (until !== undefined && Date.parse(until) <= now) return SILENT;
  const { groups = [] } = JSON.parse(asked.user) as { groups?: string[] };
  if (groups.some((group) => exemptGroups.includes(group))) return SILENT;
  return { verdict: "deny", reason: `changes in ${asked.namespace} are frozen${until ? ` until ${until}` : ""}` };
}
