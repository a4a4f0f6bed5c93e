import { readConfig } from "#sdk/plugin/config.ts";
import { definePermit } from "#sdk/plugin/define.ts";
import type { PermitDecision } from "#sdk/plugin/types.ts";

interface Config {
  /** The label that says how many pods a group has. */
  label?: string;
  waitMs?: number;
}

export const permit = definePermit({
  permit(_group, placements) {
    const { label = "example.com/size", waitMs = 30_000 } = readConfig<Config>();
    const pod = JSON.parse(placements[0]?.pod ?? "{}") as { metadata?: { labels?: Record<string, string> } };
    const size = Number(pod.metadata?.labels?.[label] ?? "1");
    const decision: PermitDecision = placements.length < size ? { tag: "wait", val: waitMs } : { tag: "allow" };
    return placements.map(() => decision);
  },
});
