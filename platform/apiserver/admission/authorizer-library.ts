/** The expression library `authorizer`: may a user do something (apiserver's cel/library/authz.go). */

import {
  AUTHORIZER,
  AUTHORIZER_DECISION,
  type AuthorizerFunction,
  authorizerLibrary,
  type CelType,
  OpaqueValue,
  RESOURCE_CHECK,
} from "#platform/rules/cel/index.ts";
import type { TenantId } from "#platform/store/port.ts";
import type { AuthorizationAttributes, Decision } from "../authz/authorizer.ts";
import type { AdmissionAttributes, UserInfo } from "../registry/admission.ts";

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
    return new Check(AUTHORIZER_DECISION, this.checks, this.user, this.target, decision);
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

type Call = (check: Check, value: string, other: string) => unknown;

const CALLS: Readonly<Record<AuthorizerFunction, (result: CelType) => Call>> = {
  path: (to) => (check, path) => check.with(to, { path }),
  group: (to) => (check, group) => check.with(to, { group }),
  serviceAccount: () => serviceAccount,
  resource: (to) => (check, resource) => check.with(to, { resource }),
  subresource: (to) => (check, subresource) => check.with(to, { subresource }),
  namespace: (to) => (check, namespace) => check.with(to, { namespace }),
  name: (to) => (check, name) => check.with(to, { name }),
  check: () => (check, verb) => check.decide(verb),
  allowed: () => (check) => check.decision?.decision === "allow",
  reason: () => (check) => check.decision?.reason ?? "",
  errored: () => () => false,
  error: () => () => "",
};

export const authorizerFunctions = authorizerLibrary((name, result) => CALLS[name](result));
