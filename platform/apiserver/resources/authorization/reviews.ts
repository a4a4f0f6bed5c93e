/** Questions about who may do what and who somebody is: asked by create, answered, never stored. */

import { timeText } from "#platform/base/clock.ts";
import { type SelectorRequirement, validateFieldRequirement, validateLabelRequirement } from "#sdk/api/labels.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { badRequest, invalid } from "#sdk/api/status.ts";
import type { TokenReviewer } from "../../authn/serviceAccounts.ts";
import { type AuthorizationAttributes, type Authorizer, noRules } from "../../authz/authorizer.ts";
import type { UserInfo } from "../../registry/admission.ts";
import { type Causes, invalidValue, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import type { ActionRequest, RequestContext, Strategy } from "../../registry/strategy.ts";
import { isEmpty } from "../as.ts";

interface Selector {
  rawSelector?: string;
  requirements?: SelectorRequirement[];
}

interface ReviewSpec {
  resourceAttributes?: {
    namespace?: string;
    verb?: string;
    group?: string;
    version?: string;
    resource?: string;
    subresource?: string;
    name?: string;
    fieldSelector?: Selector;
    labelSelector?: Selector;
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

/** What of the question stands in the answer. */
type Echo = (body: DynamicObject, context: RequestContext) => Pick<DynamicObject, "metadata"> & { spec?: unknown };

const whole: Echo = ({ metadata, spec }) => ({ metadata, ...(spec === undefined ? {} : { spec }) });

const asking =
  (answer: (request: ActionRequest, spec: ReviewSpec) => Promise<object>, echo = whole) =>
  (facts: ResourceFacts): Strategy =>
    genericStrategy(facts, {
      ask: {
        async handle(request) {
          const body = request.body ?? { metadata: {} };
          const status = await answer(request, (body.spec ?? {}) as ReviewSpec);
          const { kind, apiVersion } = body;
          return { kind, apiVersion, ...echo(body, request.context), status } as DynamicObject;
        },
      },
    });

function attributesOf(context: RequestContext, user: UserInfo, spec: ReviewSpec): AuthorizationAttributes {
  const { resourceAttributes: r, nonResourceAttributes: n } = spec;
  const { tenant } = context;
  if (r) {
    const { namespace = "", verb = "", group = "", version = "", resource = "", subresource = "", name = "" } = r;
    const what = { group, version, resource, subresource, namespace, name };
    const [fieldSelector, labelSelector] = [selectorText(r.fieldSelector), selectorText(r.labelSelector)];
    return { user, tenant, verb, resource: what, fieldSelector, labelSelector };
  }
  return { user, tenant, verb: n?.verb ?? "", path: n?.path ?? "" };
}

const OPERATORS: Readonly<Record<string, string>> = { In: "in", NotIn: "notin", Exists: "", DoesNotExist: "!" };

/** As a query would say it. Requirements of an unknown operator are left out: without them more is asked, never less. */
function selectorText({ rawSelector, requirements }: Selector = {}): string {
  if (rawSelector) return rawSelector;
  const parts = (requirements ?? []).flatMap(({ key = "", operator = "", values: given }) => {
    const values = given ?? [];
    const sign = OPERATORS[operator];
    if (sign === undefined) return [];
    if (sign === "" || sign === "!") return [sign + key];
    return values.length === 1
      ? [`${key}${sign === "in" ? "=" : "!="}${values[0]}`]
      : [`${key} ${sign} (${values.join(",")})`];
  });
  return parts.join(",");
}

function selectorCauses(spec: ReviewSpec): Causes {
  const checks = { fieldSelector: validateFieldRequirement, labelSelector: validateLabelRequirement };
  return (["fieldSelector", "labelSelector"] as const).flatMap((name): Causes => {
    const selector = spec.resourceAttributes?.[name];
    if (!selector) return [];
    const at = `spec.resourceAttributes.${name}`;
    const { rawSelector, requirements = [] } = selector;
    const causes: Causes = [];
    if (rawSelector && requirements.length > 0)
      causes.push(invalidValue(`${at}.rawSelector`, rawSelector, "may not specified at the same time as requirements"));
    if (!rawSelector && requirements.length === 0)
      causes.push(required(`${at}.requirements`, `when ${at} is specified, requirements or rawSelector is required`));
    return [...causes, ...requirements.flatMap((one, i) => checks[name](one, `${at}.requirements[${i}]`))];
  });
}

/** Refusals name the group and no kind: inside, a review has none. */
const REVIEW = { group: "authorization.k8s.io", kind: "" };

function checkSpec(spec: ReviewSpec, more: Causes, meta: Causes): void {
  const causes: Causes = [];
  if (spec.resourceAttributes && spec.nonResourceAttributes) {
    causes.push(
      invalidValue(
        "spec.nonResourceAttributes",
        goValue(spec.nonResourceAttributes, NON_RESOURCE),
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
  causes.push(...more, ...selectorCauses(spec), ...meta);
  if (causes.length > 0) throw invalid(REVIEW, "", causes);
}

async function decide(authorizer: Authorizer, attributes: AuthorizationAttributes): Promise<object> {
  const { decision, reason, error } = await authorizer.authorize(attributes);
  return {
    allowed: decision === "allow",
    ...(decision === "deny" ? { denied: true } : {}),
    ...(reason ? { reason } : {}),
    ...(error ? { evaluationError: error } : {}),
  };
}

const NON_RESOURCE: readonly GoField[] = [
  { go: "Path", json: "path", zero: "" },
  { go: "Verb", json: "verb", zero: "" },
];

/** Fields of metadata as Go writes them. */
const META_FIELDS = [
  "name",
  "generateName",
  "namespace",
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "labels",
  "annotations",
  "ownerReferences",
  "finalizers",
  "managedFields",
] as const;
const inOrder = (metadata: DynamicObject["metadata"]): object =>
  Object.fromEntries(META_FIELDS.flatMap((field) => (metadata[field] === undefined ? [] : [[field, metadata[field]]])));

/** A question is no object: it has no name and no labels. */
function metaCauses(body: DynamicObject | undefined, local = false): Causes {
  const { managedFields: _, namespace, ...rest } = body?.metadata ?? {};
  if (isEmpty(rest) && (local || !namespace)) return [];
  return [
    invalidValue("metadata", inOrder(body?.metadata ?? {}), `must be empty${local ? " except for namespace" : ""}`),
  ];
}

export const selfSubjectAccessReview = (authorizer: Authorizer) =>
  asking(async ({ context, body }, spec) => {
    checkSpec(spec, [], metaCauses(body));
    return await decide(authorizer, attributesOf(context, context.user, spec));
  });

const subjectCauses = (spec: ReviewSpec): Causes =>
  spec.user || spec.groups?.length
    ? []
    : [invalidValue("spec.user", spec.user ?? "", "at least one of user or group must be specified")];

function checkLocal(spec: ReviewSpec, written: string, asked: string): void {
  const causes: Causes = [];
  const { resourceAttributes: r, nonResourceAttributes: n } = spec;
  if (r && (r.namespace ?? "") !== written)
    causes.push(invalidValue("spec.resourceAttributes.namespace", r.namespace ?? "", "must match metadata.namespace"));
  if (n)
    causes.push(
      invalidValue("spec.nonResourceAttributes", goValue(n, NON_RESOURCE), "disallowed on this kind of request"),
    );
  if (causes.length > 0) throw invalid(REVIEW, "", causes);
  if (written !== asked) throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${asked}`);
}

export const subjectAccessReview = (authorizer: Authorizer, local: boolean) =>
  asking(async ({ context, namespace, body }, spec) => {
    checkSpec(spec, subjectCauses(spec), metaCauses(body, local));
    if (local) checkLocal(spec, body?.metadata.namespace || namespace, namespace);
    const user: UserInfo = {
      tenant: context.tenant,
      name: spec.user ?? "",
      groups: spec.groups ?? [],
      ...(spec.uid ? { uid: spec.uid } : {}),
      ...(spec.extra ? { extra: spec.extra } : {}),
    };
    return await decide(authorizer, attributesOf(context, user, spec));
  });

export const selfSubjectRulesReview = (authorizer: Authorizer) =>
  asking(
    async ({ context }, spec) => {
      if (!spec.namespace) throw badRequest("no namespace on request");
      const { resourceRules, nonResourceRules, incomplete } =
        authorizer.rulesFor?.(context.tenant, context.user, spec.namespace) ?? noRules();
      return {
        resourceRules,
        nonResourceRules,
        incomplete: incomplete !== undefined,
        ...(incomplete ? { evaluationError: incomplete } : {}),
      };
    },
    () => ({ metadata: {}, spec: {} }),
  );

function userInfo({ name, uid, groups, extra }: UserInfo): object {
  return {
    username: name,
    ...(uid ? { uid } : {}),
    groups,
    ...(extra && Object.keys(extra).length > 0 ? { extra } : {}),
  };
}

export const selfSubjectReview = asking(
  async ({ context }) => ({ userInfo: userInfo(context.user) }),
  (_, { now }) => ({ metadata: { creationTimestamp: timeText(now) } }),
);

/** Tokens of another tenant's are nobody here. */
export const tokenReview = (tokens: TokenReviewer) =>
  asking(async ({ context }, spec) => {
    if (!spec.token) throw badRequest("token is required for TokenReview in authentication");
    const reviewed = await tokens.review(spec.token, spec.audiences ?? [], context.now, context.tenantName);
    if (!reviewed || reviewed.user.tenant !== context.tenant) return { user: {}, error: "invalid bearer token" };
    const user = { ...reviewed.user, groups: [...new Set([...reviewed.user.groups, "system:authenticated"])] };
    return { authenticated: true, user: userInfo(user), audiences: reviewed.audiences };
  });
