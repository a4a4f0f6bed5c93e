/** Whether they may. Declares its port: RBAC, the node authorizer and plugins implement `Authorizer`. */
import type { TenantId } from "#platform/store/port.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import { forbidden, StatusError } from "#sdk/api/status.ts";
import type { UserInfo } from "../registry/admission.ts";
import type { PolicyRule } from "./rules.ts";

export interface AuthorizationAttributes {
  user: UserInfo;
  /** The tenant whose objects are asked for; "*" reads over all. */
  tenant: TenantId | "*";
  verb: string;
  /** Resource requests. */
  resource?: { group: string; version: string; resource: string; subresource: string; namespace: string; name: string };
  /** The query's selectors, for lists and watches, as text. */
  fieldSelector?: string;
  labelSelector?: string;
  /** Everything else: the path after the tenant prefix. */
  path?: string;
}

export type Decision = {
  decision: "allow" | "deny" | "noOpinion";
  reason: string;
  /** Why it could not be decided better; for reviews, never for who was refused. */
  error?: string;
};

/** What somebody may do in a namespace, as far as it can be told. */
export interface SubjectRules {
  resourceRules: PolicyRule[];
  nonResourceRules: PolicyRule[];
  /** Why there may be more. */
  incomplete?: string;
}

export interface Authorizer {
  authorize(attributes: AuthorizationAttributes): Promise<Decision>;
  /** Absent: has no rules of its own that could be told. */
  rulesFor?(tenant: TenantId, user: UserInfo, namespace: string): SubjectRules;
}

export const noRules = (incomplete?: string): SubjectRules => ({
  resourceRules: [],
  nonResourceRules: [],
  ...(incomplete ? { incomplete } : {}),
});

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
      const errors: string[] = [];
      for (const authorizer of authorizers) {
        const decision = await authorizer.authorize(attributes);
        if (decision.decision !== "noOpinion") return decision;
        if (decision.reason) reasons.push(decision.reason);
        if (decision.error) errors.push(decision.error);
      }
      const error = aggregate(errors);
      return { decision: "noOpinion", reason: reasons.join("\n"), ...(error ? { error } : {}) };
    },
    rulesFor(tenant, user, namespace) {
      const all = authorizers.map((authorizer) => authorizer.rulesFor?.(tenant, user, namespace) ?? noRules());
      const incomplete = aggregate(all.flatMap((rules) => rules.incomplete ?? []));
      return {
        resourceRules: all.flatMap((rules) => rules.resourceRules),
        nonResourceRules: all.flatMap((rules) => rules.nonResourceRules),
        ...(incomplete ? { incomplete } : {}),
      };
    },
  };
}

/** As upstream joins errors: each once, in brackets when there are several. */
function aggregate(errors: readonly string[]): string | undefined {
  const once = [...new Set(errors)];
  return once.length > 1 ? `[${once.join(", ")}]` : once[0];
}

/** A chain that is replaced while requests come: after its configuration was read anew. */
export class ReplaceableAuthorizer implements Authorizer {
  #current: Authorizer;

  constructor(first: Authorizer) {
    this.#current = first;
  }

  replace(next: Authorizer): void {
    this.#current = next;
  }

  authorize(attributes: AuthorizationAttributes): Promise<Decision> {
    return this.#current.authorize(attributes);
  }

  rulesFor(tenant: TenantId, user: UserInfo, namespace: string): SubjectRules {
    return this.#current.rulesFor?.(tenant, user, namespace) ?? noRules();
  }
}

const EVERYTHING: SubjectRules = {
  resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }],
  nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
};

export const alwaysAllow: Authorizer = {
  authorize: async () => ({ decision: "allow", reason: "" }),
  rulesFor: () => EVERYTHING,
};

/** Without an opinion, as upstream's: what comes after it in a chain may allow. */
export const alwaysDeny: Authorizer = {
  authorize: async () => ({ decision: "noOpinion", reason: "Everything is forbidden." }),
  rulesFor: () => noRules(),
};

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
