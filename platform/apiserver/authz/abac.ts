/** Attribute-based access control: policies of a file, a JSON object a line (abac.authorization.kubernetes.io/v1beta1). They are about root's users. */
import { z } from "zod";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { UserInfo } from "../registry/admission.ts";
import { type AuthorizationAttributes, type Authorizer, noRules } from "./authorizer.ts";
import type { PolicyRule } from "./rules.ts";

const policy = z.strictObject({
  apiVersion: z.literal("abac.authorization.kubernetes.io/v1beta1"),
  kind: z.literal("Policy"),
  spec: z.strictObject({
    user: z.string().default(""),
    group: z.string().default(""),
    readonly: z.boolean().default(false),
    apiGroup: z.string().default(""),
    resource: z.string().default(""),
    namespace: z.string().default(""),
    nonResourcePath: z.string().default(""),
  }),
});
type Spec = z.infer<typeof policy>["spec"];

const READS = new Set(["get", "list", "watch"]);
const READ_VERBS = ["get", "list", "watch"];

/** Throws Error with the line that is wrong. */
export function parsePolicies(text: string): Spec[] {
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "" || line.trim().startsWith("#")) return [];
    try {
      return [policy.parse(JSON.parse(line)).spec];
    } catch {
      throw new Error(`ABAC policy, line ${i + 1}: is no Policy of abac.authorization.kubernetes.io/v1beta1`);
    }
  });
}

function subjectFits({ user, group }: Spec, who: UserInfo): boolean {
  if (user !== "" && user !== "*" && user !== who.name) return false;
  if (group !== "" && group !== "*" && !who.groups.includes(group)) return false;
  return user !== "" || group !== "";
}

const is = (wanted: string, value: string): boolean => wanted === "*" || wanted === value;

function pathFits(wanted: string, path: string): boolean {
  return is(wanted, path) || (wanted.endsWith("*") && path.startsWith(wanted.replace(/\*+$/, "")));
}

function fits(p: Spec, { user, verb, resource, path = "" }: AuthorizationAttributes): boolean {
  if (!subjectFits(p, user) || (p.readonly && !READS.has(verb))) return false;
  if (!resource) return pathFits(p.nonResourcePath, path);
  return is(p.namespace, resource.namespace) && is(p.resource, resource.resource) && is(p.apiGroup, resource.group);
}

const ruleOf = (p: Spec): PolicyRule => ({
  verbs: p.readonly ? READ_VERBS : ["*"],
  ...(p.resource ? { apiGroups: [p.apiGroup], resources: [p.resource] } : { nonResourceURLs: [p.nonResourcePath] }),
});

export function abac(policies: readonly Spec[]): Authorizer {
  return {
    async authorize(a) {
      // A name means somebody else in each tenant.
      if (a.user.tenant !== ROOT_TENANT) return { decision: "noOpinion", reason: "" };
      return policies.some((p) => fits(p, a))
        ? { decision: "allow", reason: "" }
        : { decision: "noOpinion", reason: "No policy matched." };
    },
    rulesFor(_tenant, user, namespace) {
      if (user.tenant !== ROOT_TENANT) return noRules();
      const held = policies.filter((p) => subjectFits(p, user) && is(p.namespace, namespace));
      return {
        resourceRules: held.filter((p) => p.resource !== "").map(ruleOf),
        nonResourceRules: held.filter((p) => p.nonResourcePath !== "").map((p) => ruleOf({ ...p, resource: "" })),
      };
    },
  };
}
