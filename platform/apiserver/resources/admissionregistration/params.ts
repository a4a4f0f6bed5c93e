/**
 * Whoever writes a policy or binding that reads parameters must be allowed to read them: expressions tell what they say
 * (pkg/registry/admissionregistration, authz.go).
 */
import type { Store } from "#platform/store/port.ts";
import type { ParamKind, ParamRef } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { invalid } from "#sdk/api/status.ts";
import type { ParamKinds } from "../../admission/policies/params.ts";
import type { Authorizer } from "../../authz/authorizer.ts";
import type { UserInfo } from "../../registry/admission.ts";
import { groupResource } from "../../registry/catalog.ts";
import { forbiddenField } from "../../registry/causes.ts";
import type { RequestContext, Strategy } from "../../registry/strategy.ts";
import { same } from "../checks.ts";

export interface ParamReaders {
  authorizer: Authorizer;
  store: Pick<Store, "get">;
  paramKinds: ParamKinds;
}

interface Params {
  paramKind?: ParamKind;
  paramRef?: ParamRef;
  policyName?: string;
}

const paramsOf = (object: DynamicObject | undefined): Params => (object?.spec ?? {}) as Params;

/** As Go prints it. */
function userText({ name, uid = "", groups, extra = {} }: UserInfo): string {
  const keys = Object.keys(extra).sort();
  const more = keys.map((key) => `${key}:[${(extra[key] ?? []).join(" ")}]`);
  return `&{${name} ${uid} [${groups.join(" ")}] map[${more.join(" ")}]}`;
}

/** What of the kind must be readable: all there is as long as nobody knows what it is. */
function resourceOf(kind: ParamKind | undefined, context: RequestContext, { paramKinds }: ParamReaders) {
  const parts = (kind?.apiVersion ?? "").split("/");
  if (!kind?.apiVersion || parts.length > 2) return { group: "*", version: "*", resource: "*" };
  const [group, version] = parts.length === 2 ? parts : ["", parts[0]];
  return { group: group ?? "", version: version ?? "", resource: paramKinds(context.tenant, kind)?.resource ?? "*" };
}

const unresolved = (kind: ParamKind | undefined, { resource }: ReturnType<typeof resourceOf>): string | undefined =>
  kind && resource === "*" ? `resolve paramKind &{${kind.apiVersion} ${kind.kind}}` : undefined;

async function mayGet(
  { authorizer }: ParamReaders,
  { tenant, user }: RequestContext,
  what: ReturnType<typeof resourceOf>,
  { namespace, name }: { namespace: string; name: string },
): Promise<boolean> {
  const resource = { ...what, subresource: "", namespace, name };
  return (await authorizer.authorize({ user, tenant, verb: "get", resource })).decision === "allow";
}

export const readsParamKind =
  (facts: ResourceFacts, readers: ParamReaders): Strategy["authorizeWrite"] =>
  async (object, old, context) => {
    const { paramKind } = paramsOf(object);
    if (!paramKind || same(paramsOf(old).paramKind, paramKind)) return;
    const what = resourceOf(paramKind, context, readers);
    if (await mayGet(readers, context, what, { namespace: "*", name: "*" })) return;
    const { kind, apiVersion } = paramKind;
    const whom = `user ${userText(context.user)} must have "get" permission on all objects`;
    const why = `${whom} of the referenced paramKind (kind=${kind}, apiVersion=${apiVersion})`;
    throw invalid(facts, object.metadata.name ?? "", [forbiddenField("spec.paramKind", why)]);
  };

export const readsParams =
  (facts: ResourceFacts, policies: string, readers: ParamReaders): Strategy["authorizeWrite"] =>
  async (object, old, context) => {
    const { paramRef, policyName = "" } = paramsOf(object);
    const before = paramsOf(old);
    if (!paramRef || (same(before.paramRef, paramRef) && before.policyName === policyName)) return;
    const key = {
      tenant: context.tenant,
      resource: groupResource(facts.group, policies),
      namespace: "",
      name: policyName,
    };
    const stored = await readers.store.get(key, { type: "atLeast", revision: 0 });
    const policy = stored && (JSON.parse(stored.document) as DynamicObject);
    const what = resourceOf(paramsOf(policy).paramKind, context, readers);
    const where = { namespace: paramRef.namespace ?? "", name: paramRef.name ?? "" };
    if (await mayGet(readers, context, what, where)) return;
    const user = `user ${userText(context.user)} does not have "get" permission`;
    const unknown = policy ? unresolved(paramsOf(policy).paramKind, what) : `get policy ${policyName}`;
    const why = unknown
      ? `unable to ${unknown} to determine minimum required permissions and ${user} for all groups, versions and resources`
      : `${user} on the object referenced by paramRef`;
    throw invalid(facts, object.metadata.name ?? "", [forbiddenField("spec.paramRef", why)]);
  };
