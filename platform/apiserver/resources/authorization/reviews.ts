/** Questions about who may do what and who somebody is: asked by create, answered, never stored. */

import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { badRequest, invalid } from "#sdk/api/status.ts";
import type { TokenReviewer } from "../../authn/serviceAccounts.ts";
import type { AuthorizationAttributes, Authorizer } from "../../authz/authorizer.ts";
import type { Rbac } from "../../authz/rbac.ts";
import type { UserInfo } from "../../registry/admission.ts";
import { invalidValue } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { ActionRequest, RequestContext, Strategy } from "../../registry/strategy.ts";

interface ReviewSpec {
  resourceAttributes?: {
    namespace?: string;
    verb?: string;
    group?: string;
    version?: string;
    resource?: string;
    subresource?: string;
    name?: string;
  };
  nonResourceAttributes?: { path?: string; verb?: string };
  user?: string;
  groups?: string[];
  uid?: string;
  extra?: Record<string, string[]>;
  namespace?: string;
  token?: string;
  audiences?: string[];
}

const asking =
  (answer: (request: ActionRequest, spec: ReviewSpec) => Promise<object>) =>
  (facts: ResourceFacts): Strategy =>
    genericStrategy(facts, {
      ask: {
        async handle(request) {
          const body = request.body ?? { metadata: {} };
          const spec = (body.spec ?? {}) as ReviewSpec;
          const { kind, apiVersion, metadata } = body;
          const status = await answer(request, spec);
          return {
            kind,
            apiVersion,
            metadata,
            ...("spec" in body ? { spec: body.spec } : {}),
            status,
          } as DynamicObject;
        },
      },
    });

function attributesOf(context: RequestContext, user: UserInfo, spec: ReviewSpec): AuthorizationAttributes {
  const { resourceAttributes: r, nonResourceAttributes: n } = spec;
  const { tenant } = context;
  if (r) {
    const { namespace = "", verb = "", group = "", version = "", resource = "", subresource = "", name = "" } = r;
    return { user, tenant, verb, resource: { group, version, resource, subresource, namespace, name } };
  }
  return { user, tenant, verb: n?.verb ?? "", path: n?.path ?? "" };
}

function checkSpec(kind: string, spec: ReviewSpec): void {
  const causes = [];
  if (spec.resourceAttributes && spec.nonResourceAttributes) {
    causes.push(
      invalidValue(
        "spec.nonResourceAttributes",
        spec.nonResourceAttributes,
        "cannot be specified in combination with resourceAttributes",
      ),
    );
  }
  if (!spec.resourceAttributes && !spec.nonResourceAttributes) {
    causes.push(
      invalidValue(
        "spec.resourceAttributes",
        spec.resourceAttributes ?? null,
        "exactly one of nonResourceAttributes or resourceAttributes must be specified",
      ),
    );
  }
  if (causes.length > 0) throw invalid({ group: "authorization.k8s.io", kind }, "", causes);
}

async function decide(authorizer: Authorizer, attributes: AuthorizationAttributes): Promise<object> {
  const { decision, reason } = await authorizer.authorize(attributes);
  return {
    allowed: decision === "allow",
    ...(decision === "deny" ? { denied: true } : {}),
    ...(reason ? { reason } : {}),
  };
}

export const selfSubjectAccessReview = (authorizer: Authorizer) =>
  asking(async ({ context }, spec) => {
    checkSpec("SelfSubjectAccessReview", spec);
    return await decide(authorizer, attributesOf(context, context.user, spec));
  });

export const subjectAccessReview = (authorizer: Authorizer, local: boolean) =>
  asking(async ({ context, namespace }, spec) => {
    const kind = local ? "LocalSubjectAccessReview" : "SubjectAccessReview";
    checkSpec(kind, spec);
    if (!spec.user && !spec.groups?.length) {
      throw invalid({ group: "authorization.k8s.io", kind }, "", [
        invalidValue("spec.user", spec.user ?? "", "at least one of user or group must be specified"),
      ]);
    }
    if (local && spec.resourceAttributes?.namespace !== namespace)
      throw badRequest("spec.resourceAttributes.namespace must match namespace");
    const user: UserInfo = {
      tenant: context.tenant,
      name: spec.user ?? "",
      groups: spec.groups ?? [],
      ...(spec.extra ? { extra: spec.extra } : {}),
    };
    return await decide(authorizer, attributesOf(context, user, spec));
  });

export const selfSubjectRulesReview = (rbac: Rbac) =>
  asking(async ({ context }, spec) => {
    if (!spec.namespace) throw badRequest("no namespace on request");
    const rules = rbac.rulesFor(context.tenant, context.user, spec.namespace);
    const masters = context.user.groups.includes("system:masters");
    const resourceRules = rules.filter((r) => r.resources?.length).map(({ nonResourceURLs: _, ...rule }) => rule);
    const nonResourceRules = rules
      .filter((r) => r.nonResourceURLs?.length)
      .map((r) => ({ verbs: r.verbs, nonResourceURLs: r.nonResourceURLs }));
    if (masters) {
      resourceRules.push({ verbs: ["*"], apiGroups: ["*"], resources: ["*"] });
      nonResourceRules.push({ verbs: ["*"], nonResourceURLs: ["*"] });
    }
    return { resourceRules, nonResourceRules, incomplete: false };
  });

function userInfo({ name, uid, groups, extra }: UserInfo): object {
  return {
    username: name,
    ...(uid ? { uid } : {}),
    groups,
    ...(extra && Object.keys(extra).length > 0 ? { extra } : {}),
  };
}

export const selfSubjectReview = asking(async ({ context }) => ({ userInfo: userInfo(context.user) }));

/** Tokens of another tenant's are nobody here. */
export const tokenReview = (tokens: TokenReviewer) =>
  asking(async ({ context }, spec) => {
    if (!spec.token)
      throw invalid({ group: "authentication.k8s.io", kind: "TokenReview" }, "", [
        invalidValue("spec.token", "", "token is required for TokenReview"),
      ]);
    const reviewed = await tokens.review(spec.token, spec.audiences ?? [], context.now, context.tenantName);
    if (!reviewed || reviewed.user.tenant !== context.tenant) return { user: {}, error: "invalid bearer token" };
    const user = { ...reviewed.user, groups: [...new Set([...reviewed.user.groups, "system:authenticated"])] };
    return { authenticated: true, user: userInfo(user), audiences: reviewed.audiences };
  });
