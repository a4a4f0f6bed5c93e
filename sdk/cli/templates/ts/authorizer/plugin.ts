import { readConfig } from "#sdk/plugin/config.ts";
import { defineAuthorizer } from "#sdk/plugin/define.ts";

export const authorizer = defineAuthorizer({
  authorize({ verb, namespace }) {
    const { keep = [] } = readConfig<{ keep?: string[] }>();
    if (!verb.startsWith("delete") || !keep.includes(namespace)) return { verdict: "no-opinion", reason: "" };
    return { verdict: "deny", reason: `nothing is deleted in ${namespace}` };
  },
});
