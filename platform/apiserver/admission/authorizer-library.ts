/** The expression library `authorizer`: may a user do something (apiserver's cel/library/authz.go). */

import {
  BOOL,
  type CelFunction,
  type CelType,
  method,
  OpaqueValue,
  opaque,
  STRING,
} from "#platform/rules/cel/index.ts";
import type { TenantId } from "#platform/store/port.ts";
import type { AuthorizationAttributes, Decision } from "../authz/authorizer.ts";
import type { AdmissionAttributes, UserInfo } from "../registry/admission.ts";

export const AUTHORIZER: CelType = opaque("kubernetes.authorization.Authorizer");
const PATH_CHECK = opaque("kubernetes.authorization.PathCheck");
const GROUP_CHECK = opaque("kubernetes.authorization.GroupCheck");
export const RESOURCE_CHECK: CelType = opaque("kubernetes.authorization.ResourceCheck");
const DECISION = opaque("kubernetes.authorization.Decision");

/** What was asked already in one evaluation. */
export interface Checks {
  tenant: TenantId;
  user: UserInfo;
  decisions: Map<string, Decision>;
}

/** Thrown out of an expression that needs an answer it does not have yet. */
export class Undecided extends Error {
  readonly key: string;
  readonly attributes: AuthorizationAttributes;
  constructor(key: string, attributes: AuthorizationAttributes) {
    super("an authorization check is not decided yet");
    this.key = key;
    this.attributes = attributes;
  }
}

type Target = Partial<Pick<AuthorizationAttributes, "path">> &
  Partial<NonNullable<AuthorizationAttributes["resource"]>>;

class Check extends OpaqueValue {
  readonly typeName: string;
  readonly checks: Checks;
  readonly user: UserInfo;
  readonly target: Target;
  readonly decision: Decision | undefined;

  constructor(typeName: CelType, checks: Checks, user: UserInfo, target: Target, decision?: Decision) {
    super();
    this.typeName = typeName.kind === "opaque" ? typeName.name : "";
    this.checks = checks;
    this.user = user;
    this.target = target;
    this.decision = decision;
  }
  equals(other: OpaqueValue): boolean {
    return other === this;
  }
  override toString(): string {
    return this.typeName;
  }
  with(type: CelType, more: Target): Check {
    return new Check(type, this.checks, this.user, { ...this.target, ...more });
  }

  decide(verb: string): Check {
    const { path, group = "", resource = "", subresource = "", namespace = "", name = "" } = this.target;
    const { tenant, decisions } = this.checks;
    const attributes: AuthorizationAttributes =
      path === undefined
        ? { user: this.user, tenant, verb, resource: { group, version: "*", resource, subresource, namespace, name } }
        : { user: this.user, tenant, verb, path };
    const key = JSON.stringify([this.user.name, verb, attributes.resource ?? path]);
    const decision = decisions.get(key);
    if (!decision) throw new Undecided(key, attributes);
    return new Check(DECISION, this.checks, this.user, this.target, decision);
  }
}

export const authorizerValue = (checks: Checks): OpaqueValue => new Check(AUTHORIZER, checks, checks.user, {});

export const requestResourceCheck = (checks: Checks, a: AdmissionAttributes): OpaqueValue =>
  new Check(RESOURCE_CHECK, checks, checks.user, {
    group: a.resource.group,
    resource: a.resource.resource,
    subresource: a.subresource,
    namespace: a.namespace,
    name: a.name,
  });

function serviceAccount(check: Check, namespace: string, name: string): Check {
  const user: UserInfo = {
    tenant: check.checks.tenant,
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
  };
  return new Check(AUTHORIZER, check.checks, user, {});
}

const step = (name: string, from: CelType, to: CelType, more: (value: string) => Target): CelFunction =>
  method(name, [from, STRING], to, (check: Check, value: string) => check.with(to, more(value)));

export const authorizerFunctions: readonly CelFunction[] = [
  step("path", AUTHORIZER, PATH_CHECK, (path) => ({ path })),
  step("group", AUTHORIZER, GROUP_CHECK, (group) => ({ group })),
  method("serviceAccount", [AUTHORIZER, STRING, STRING], AUTHORIZER, serviceAccount),
  step("resource", GROUP_CHECK, RESOURCE_CHECK, (resource) => ({ resource })),
  step("subresource", RESOURCE_CHECK, RESOURCE_CHECK, (subresource) => ({ subresource })),
  step("namespace", RESOURCE_CHECK, RESOURCE_CHECK, (namespace) => ({ namespace })),
  step("name", RESOURCE_CHECK, RESOURCE_CHECK, (name) => ({ name })),
  method("check", [PATH_CHECK, STRING], DECISION, (check: Check, verb: string) => check.decide(verb)),
  method("check", [RESOURCE_CHECK, STRING], DECISION, (check: Check, verb: string) => check.decide(verb)),
  method("allowed", [DECISION], BOOL, (check: Check) => check.decision?.decision === "allow"),
  method("reason", [DECISION], STRING, (check: Check) => check.decision?.reason ?? ""),
  method("errored", [DECISION], BOOL, () => false),
  method("error", [DECISION], STRING, () => ""),
];
