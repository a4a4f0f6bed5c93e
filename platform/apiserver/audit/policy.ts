/** An audit policy (audit.k8s.io/v1 Policy): which requests are recorded, how much of them, and when. */
import { parse } from "yaml";
import { z } from "zod";
import type { RequestInfo } from "../http/requestInfo.ts";
import type { UserInfo } from "../registry/admission.ts";

export const LEVELS = ["None", "Metadata", "Request", "RequestResponse"] as const;
export type AuditLevel = (typeof LEVELS)[number];
export type AuditStage = "RequestReceived" | "ResponseStarted" | "ResponseComplete" | "Panic";

const stages = z.array(z.enum(["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"])).default([]);
const texts = z.array(z.string()).default([]);
const rule = z.strictObject({
  level: z.enum(LEVELS),
  users: texts,
  userGroups: texts,
  verbs: texts,
  resources: z
    .array(z.strictObject({ group: z.string().default(""), resources: texts, resourceNames: texts }))
    .default([]),
  namespaces: texts,
  nonResourceURLs: texts,
  omitStages: stages,
  omitManagedFields: z.boolean().optional(),
});
const policy = z.object({
  apiVersion: z.literal("audit.k8s.io/v1"),
  kind: z.literal("Policy"),
  rules: z.array(rule).min(1),
  omitStages: stages,
  omitManagedFields: z.boolean().default(false),
});

export type AuditPolicy = z.infer<typeof policy>;
type Rule = z.infer<typeof rule>;

/** Throws an Error with the first thing that is wrong. */
export function parsePolicy(text: string): AuditPolicy {
  const result = policy.safeParse(parse(text));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`audit policy: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`);
}

export interface Decision {
  level: AuditLevel;
  omitStages: ReadonlySet<AuditStage>;
  omitManagedFields: boolean;
}

const NOTHING: Decision = { level: "None", omitStages: new Set(), omitManagedFields: false };

/** The first rule that fits decides; what none fits is not recorded. */
export function decide(p: AuditPolicy, user: UserInfo, info: RequestInfo): Decision {
  const found = p.rules.find((r) => fits(r, user, info));
  if (!found || found.level === "None") return NOTHING;
  return {
    level: found.level,
    omitStages: new Set([...p.omitStages, ...found.omitStages]),
    omitManagedFields: found.omitManagedFields ?? p.omitManagedFields,
  };
}

const oneOf = (list: readonly string[], value: string) => list.length === 0 || list.includes(value);

function fits(r: Rule, user: UserInfo, info: RequestInfo): boolean {
  if (!oneOf(r.users, user.name) || !oneOf(r.verbs, info.verb)) return false;
  if (r.userGroups.length > 0 && !r.userGroups.some((group) => user.groups.includes(group))) return false;
  const aboutResources = r.resources.length > 0 || r.namespaces.length > 0;
  if (!aboutResources && r.nonResourceURLs.length === 0) return true;
  if (!info.isResource) return r.nonResourceURLs.some((pattern) => pathFits(pattern, info.path));
  return aboutResources && oneOf(r.namespaces, info.namespace) && resourceFits(r, info);
}

function resourceFits(r: Rule, { group, resource, subresource, name }: RequestInfo): boolean {
  if (r.resources.length === 0) return true;
  const combined = subresource === "" ? resource : `${resource}/${subresource}`;
  return r.resources.some(({ group: wanted, resources, resourceNames }) => {
    if (wanted !== group) return false;
    if (resources.length === 0) return true;
    if (!oneOf(resourceNames, name)) return false;
    return resources.some(
      (one) =>
        one === "*" ||
        one === combined ||
        (subresource !== "" && (one === `*/${subresource}` || one === `${resource}/*`)),
    );
  });
}

const pathFits = (pattern: string, path: string): boolean =>
  pattern === "*" || pattern === path || (pattern.endsWith("*") && path.startsWith(pattern.slice(0, -1)));
