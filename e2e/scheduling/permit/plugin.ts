import { readConfig } from "#sdk/plugin/config.ts";
import { definePermit } from "#sdk/plugin/define.ts";
import type { PermitDecision } from "#sdk/plugin/types.ts";

/** The label "team-size" says how many are needed; "never" says that they are not wanted. */
export const permit = definePermit({
  permit(group, placements) {
    const { waitMs = 60_000 } = readConfig<{ waitMs?: number }>();
    const { metadata } = JSON.parse(placements[0]?.pod ?? "{}") as { metadata?: { labels?: Record<string, string> } };
    const size = metadata?.labels?.["team-size"] ?? "1";
    const decide = (): PermitDecision => {
      if (size === "never") return { tag: "reject", val: `${group} is not wanted` };
      return placements.length < Number(size) ? { tag: "wait", val: waitMs } : { tag: "allow" };
    };
    return placements.map(decide);
  },
  unreserve: () => undefined,
});
