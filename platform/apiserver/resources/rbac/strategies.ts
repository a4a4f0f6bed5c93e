/** Roles and bindings: their names are free, and nobody may grant what they don't have. */

import type { LabelSelector } from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { forbidden, notFound } from "#sdk/api/status.ts";
import type { Authorizer } from "../../authz/authorizer.ts";
import { RBAC_GROUP, type Rbac } from "../../authz/rbac.ts";
import { compacted, type PolicyRule, type Subject, uncovered } from "../../authz/rules.ts";
import { type Causes, invalidValue, notSupported, notSupportedInOrder, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import { nameIsPathSegment } from "../../registry/names.ts";
import type { RequestContext, Strategy } from "../../registry/strategy.ts";
import { sorted } from "../as.ts";
import { segment, subdomain } from "../checks.ts";

interface Role {
  rules?: PolicyRule[] | null;
  aggregationRule?: { clusterRoleSelectors?: LabelSelector[] };
}
interface Binding {
  subjects?: Subject[];
  roleRef?: { apiGroup?: string; kind: string; name: string };
}

export interface Escalation {
  rbac: Rbac;
  authorizer: Authorizer;
}

const same = (a: unknown, b: unknown) => JSON.stringify(sorted(a ?? null)) === JSON.stringify(sorted(b ?? null));

/** The collector must be able to end what nobody else may touch: owners and finalizers are no permissions. */
function changesOnlyOwnership(object: DynamicObject, old: DynamicObject): boolean {
  const bare = ({ metadata, ...rest }: DynamicObject) => {
    const { ownerReferences: _o, finalizers: _f, managedFields: _m, resourceVersion: _r, ...kept } = metadata;
    return { ...rest, metadata: kept };
  };
  return same(bare(object), bare(old));
}

async function may(
  context: RequestContext,
  { authorizer }: Escalation,
  facts: ResourceFacts,
  verb: string,
  namespace: string,
  name: string,
) {
  const { group, version, resource } = facts;
  const decision = await authorizer.authorize({
    user: context.user,
    tenant: context.tenant,
    verb,
    resource: { group, version, resource, subresource: "", namespace, name },
  });
  return decision.decision === "allow";
}

const ruleText = (rule: PolicyRule): string => {
  const fields: [string, string[] | undefined][] = [
    ["APIGroups", rule.apiGroups],
    ["Resources", rule.resources],
    ["NonResourceURLs", rule.nonResourceURLs],
    ["ResourceNames", rule.resourceNames],
    ["Verbs", rule.verbs],
  ];
  return `{${fields.flatMap(([k, v]) => (v?.length ? [`${k}:[${v.map((x) => JSON.stringify(x)).join(" ")}]`] : [])).join(", ")}}`;
};

function refuseEscalation(
  context: RequestContext,
  facts: ResourceFacts,
  name: string,
  missing: readonly PolicyRule[],
): Error {
  const { user } = context;
  const groups = user.groups.map((g) => JSON.stringify(g)).join(" ");
  const missed = [...new Set(compacted(missing).map(ruleText))].sort();
  return forbidden(
    facts,
    name,
    `user ${JSON.stringify(user.name)} (groups=[${groups}]) is attempting to grant RBAC permissions not currently held:\n${missed.join("\n")}`,
  );
}

const FULL_AUTHORITY: PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];
const aggregates = (object: DynamicObject): boolean =>
  ((object as Role).aggregationRule?.clusterRoleSelectors?.length ?? 0) > 0;

/** system:masters holds everything, though no rule says so. */
const isMaster = (context: RequestContext) => context.user.groups.includes("system:masters");

function validateRule(rule: PolicyRule, at: string, namespaced: boolean): Causes {
  const causes: Causes = [];
  if (!rule.verbs?.length) causes.push(required(`${at}.verbs`, "verbs must contain at least one value"));
  if (rule.nonResourceURLs?.length) {
    if (namespaced)
      causes.push(
        invalidValue(
          `${at}.nonResourceURLs`,
          rule.nonResourceURLs,
          "namespaced rules cannot apply to non-resource URLs",
        ),
      );
    if (rule.apiGroups?.length || rule.resources?.length || rule.resourceNames?.length) {
      causes.push(
        invalidValue(
          `${at}.nonResourceURLs`,
          rule.nonResourceURLs,
          "rules cannot apply to both regular resources and non-resource URLs",
        ),
      );
    }
    return causes;
  }
  if (!rule.apiGroups?.length)
    causes.push(required(`${at}.apiGroups`, "resource rules must supply at least one api group"));
  if (!rule.resources?.length)
    causes.push(required(`${at}.resources`, "resource rules must supply at least one resource"));
  return causes;
}

function validateAggregation({ aggregationRule }: Role): Causes {
  if (!aggregationRule) return [];
  const at = "aggregationRule.clusterRoleSelectors";
  const selectors = aggregationRule.clusterRoleSelectors ?? [];
  if (selectors.length === 0)
    return [required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil")];
  return selectors.flatMap((selector, i) => {
    const causes = validateLabelSelector(selector, `${at}[${i}]`);
    return causes.length > 0 ? [...causes, invalidValue(`${at}[${i}]`, null, "invalid label selector.")] : [];
  });
}

export const roleStrategy =
  (escalation: Escalation) =>
  (facts: ResourceFacts): Strategy =>
    genericStrategy(facts, {
      validateName: nameIsPathSegment,
      allowCreateOnUpdate: true,
      validate: (object) => [
        ...((object as Role).rules ?? []).flatMap((r, i) => validateRule(r, `rules[${i}]`, facts.namespaced)),
        ...validateAggregation(object as Role),
      ],
      async authorizeWrite(object, old, context) {
        const { rules } = object as Role;
        if (isMaster(context) || (old && changesOnlyOwnership(object, old))) return;
        const { name = "", namespace = "" } = object.metadata;
        if (await may(context, escalation, facts, "escalate", namespace, name)) return;
        const held = escalation.rbac.heldRules(context.tenant, context.user, namespace);
        const missing = uncovered(held, rules ?? []);
        if (missing.length > 0) throw refuseEscalation(context, facts, name, missing);
        // It gathers whatever is labelled so, now and later.
        if ((aggregates(object) || (old && aggregates(old))) && uncovered(held, FULL_AUTHORITY).length > 0)
          throw forbidden(facts, name, "must have cluster-admin privileges to use the aggregationRule");
      },
    });

const SUBJECT_KINDS = ["ServiceAccount", "User", "Group"];
const ROLE_REF: readonly GoField[] = [
  { go: "APIGroup", json: "apiGroup", zero: "" },
  { go: "Kind", json: "kind", zero: "" },
  { go: "Name", json: "name", zero: "" },
];

function validateSubject(subject: Subject, at: string, namespaced: boolean): Causes {
  const causes: Causes = subject.name ? [] : [required(`${at}.name`)];
  if (!SUBJECT_KINDS.includes(subject.kind))
    return [...causes, notSupportedInOrder(`${at}.kind`, subject.kind ?? "", SUBJECT_KINDS)];
  if (subject.kind !== "ServiceAccount")
    return subject.apiGroup === RBAC_GROUP
      ? causes
      : [...causes, notSupported(`${at}.apiGroup`, subject.apiGroup ?? "", [RBAC_GROUP])];
  if (subject.name) causes.push(...subdomain(subject.name, `${at}.name`));
  if (subject.apiGroup) causes.push(notSupported(`${at}.apiGroup`, subject.apiGroup, [""]));
  if (!namespaced && !subject.namespace) causes.push(required(`${at}.namespace`));
  return causes;
}

function validateBinding(object: DynamicObject, { namespaced }: ResourceFacts): Causes {
  const { roleRef, subjects } = object as Binding;
  const causes: Causes = [];
  if (roleRef?.apiGroup !== RBAC_GROUP)
    causes.push(notSupported("roleRef.apiGroup", roleRef?.apiGroup ?? "", [RBAC_GROUP]));
  const kinds = namespaced ? ["Role", "ClusterRole"] : ["ClusterRole"];
  if (!kinds.includes(roleRef?.kind ?? ""))
    causes.push(notSupportedInOrder("roleRef.kind", roleRef?.kind ?? "", kinds));
  return [
    ...causes,
    ...segment(roleRef?.name, "roleRef.name"),
    ...(subjects ?? []).flatMap((subject, i) => validateSubject(subject, `subjects[${i}]`, namespaced)),
  ];
}

export const bindingStrategy =
  (escalation: Escalation) =>
  (facts: ResourceFacts): Strategy =>
    genericStrategy(facts, {
      validateName: nameIsPathSegment,
      allowCreateOnUpdate: true,
      applyDefaults(object) {
        const binding = object as Binding;
        binding.roleRef ??= { kind: "", name: "" };
        binding.roleRef.apiGroup ||= RBAC_GROUP;
        const { subjects } = binding;
        for (const subject of subjects ?? []) {
          if (subject.kind === "User" || subject.kind === "Group") subject.apiGroup ||= RBAC_GROUP;
        }
      },
      validate: (object) => validateBinding(object, facts),
      validateUpdate: (next, old) => [
        ...validateBinding(next, facts),
        ...(same((next as Binding).roleRef, (old as Binding).roleRef)
          ? []
          : [invalidValue("roleRef", goValue((next as Binding).roleRef, ROLE_REF), "cannot change roleRef")]),
      ],
      async authorizeWrite(object, old, context) {
        const { roleRef } = object as Binding;
        if (!roleRef || isMaster(context)) return;
        if (old && changesOnlyOwnership(object, old)) return;
        const { name = "", namespace = "" } = object.metadata;
        const role = { ...facts, resource: roleRef.kind === "ClusterRole" ? "clusterroles" : "roles" };
        if (await may(context, escalation, role, "bind", namespace, roleRef.name)) return;
        const wanted = escalation.rbac.rulesOf(context.tenant, roleRef, namespace);
        if (!wanted) throw notFound({ group: RBAC_GROUP, resource: role.resource }, roleRef.name);
        const missing = uncovered(escalation.rbac.heldRules(context.tenant, context.user, namespace), wanted);
        if (missing.length > 0) throw refuseEscalation(context, facts, name, missing);
      },
    });
