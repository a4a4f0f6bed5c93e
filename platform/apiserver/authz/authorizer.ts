/** Whether they may. Declares its port: RBAC, the node authorizer and plugins implement `Authorizer`. */
import type { TenantId } from "#platform/store/port.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import { forbidden, StatusError } from "#sdk/api/status.ts";
import type { UserInfo } from "../registry/admission.ts";

export interface AuthorizationAttributes {
  user: UserInfo;
  /** The tenant whose objects are asked for; "*" reads over all. */
  tenant: TenantId | "*";
  verb: string;
  /** Resource requests. */
  resource?: { group: string; version: string; resource: string; subresource: string; namespace: string; name: string };
  /** The query's fieldSelector, for lists and watches. */
  fieldSelector?: string;
  /** Everything else: the path after the tenant prefix. */
  path?: string;
}

export type Decision = { decision: "allow" | "deny" | "noOpinion"; reason: string };

export interface Authorizer {
  authorize(attributes: AuthorizationAttributes): Promise<Decision>;
}

const MASTERS = "system:masters";

/** system:masters may do everything in its own tenant; root's everywhere. */
export const masters: Authorizer = {
  authorize: async ({ user, tenant }) => {
    const reach = user.tenant === ROOT_TENANT || user.tenant === tenant;
    return user.groups.includes(MASTERS) && reach
      ? { decision: "allow", reason: "" }
      : { decision: "noOpinion", reason: "" };
  },
};

/** The first that has an opinion decides; nobody's opinion is a denial. */
export function unionOf(authorizers: readonly Authorizer[]): Authorizer {
  return {
    async authorize(attributes) {
      const reasons: string[] = [];
      for (const authorizer of authorizers) {
        const decision = await authorizer.authorize(attributes);
        if (decision.decision !== "noOpinion") return decision;
        if (decision.reason) reasons.push(decision.reason);
      }
      return { decision: "noOpinion", reason: reasons.join("\n") };
    },
  };
}

/** Upstream's words: `User "x" cannot list resource "pods" in API group "" in the namespace "default"`. */
export function denial(a: AuthorizationAttributes, reason = ""): StatusError {
  const suffix = reason ? `: ${reason}` : "";
  const who = `User ${JSON.stringify(a.user.name)}`;
  if (!a.resource) {
    const message = `forbidden: ${who} cannot ${a.verb} path ${JSON.stringify(a.path ?? "")}${suffix}`;
    return new StatusError(403, "Forbidden", message, {});
  }
  const { group, resource, subresource, namespace, name } = a.resource;
  const shown = subresource ? `${resource}/${subresource}` : resource;
  const where = namespace ? ` in the namespace ${JSON.stringify(namespace)}` : " at the cluster scope";
  const why = `${who} cannot ${a.verb} resource ${JSON.stringify(shown)} in API group ${JSON.stringify(group)}${where}${suffix}`;
  return forbidden({ group, resource }, name, why);
}
