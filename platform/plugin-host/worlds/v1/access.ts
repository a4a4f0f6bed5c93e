/** Worlds authorizer and authenticator: who may, and who is asking, by components. Each is asked in the manifests' order. */
import type { Log } from "#platform/base/log.ts";
import { messageOf } from "#platform/base/log.ts";
import type { AccessAttributes, AccessDecision, TokenUser } from "#sdk/plugin/types.ts";
import { PluginCallError } from "../../errors.ts";
import type { PluginHost } from "../../host.ts";

export type { AccessAttributes, TokenUser } from "#sdk/plugin/types.ts";

export interface AccessPlugins {
  /** The first opinion. `error` is why a component could not say; with the failure policy Fail that is a denial. */
  authorize(attributes: AccessAttributes): Promise<AccessDecision & { error?: string }>;
  /** The user of the first component that knows the token; "refused" when one knows it to be bad. */
  authenticate(token: string): Promise<TokenUser | "refused" | undefined>;
}

export function createAccessPlugins(host: PluginHost, log: Log): AccessPlugins {
  return {
    async authorize(attributes) {
      let error: string | undefined;
      for (const plugin of host.loaded("authorizer")) {
        try {
          const options = { tenant: attributes.userTenant };
          const decision = (await plugin.call(
            "authorizer-hooks",
            "authorize",
            [attributes],
            options,
          )) as AccessDecision;
          if (decision.verdict !== "no-opinion") return decision;
        } catch (failure) {
          log.error("an authorizer plugin failed", { plugin: plugin.name, error: messageOf(failure) });
          error = `authorizer plugin "${plugin.name}" failed`;
          if (plugin.spec.failurePolicy === "Fail") return { verdict: "deny", reason: "", error };
        }
      }
      return { verdict: "no-opinion", reason: "", ...(error ? { error } : {}) };
    },

    async authenticate(token) {
      for (const plugin of host.loaded("authenticator")) {
        try {
          const user = (await plugin.call("authenticator-hooks", "authenticate", [token])) as TokenUser;
          if (user.name !== "") return user;
        } catch (failure) {
          const bad = failure instanceof PluginCallError && failure.reason === "Unauthorized";
          // What was thrown may quote the token: it is not told.
          if (!bad) log.error("an authenticator plugin failed", { plugin: plugin.name });
          if (bad || plugin.spec.failurePolicy === "Fail") return "refused";
        }
      }
      return undefined;
    },
  };
}
