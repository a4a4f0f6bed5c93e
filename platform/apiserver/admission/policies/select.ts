/** Which policies, bindings and parameters a request is about. */
import type { Store } from "#platform/store/port.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { Authorizer } from "../../authz/authorizer.ts";
import type { AdmissionAttributes } from "../../registry/admission.ts";
import { matchRequest, namespaceOf, type ServedVersion, type VersionsOf } from "../match.ts";
import { ConfigurationError, collectParams, type ParamKinds } from "./params.ts";
import type { Binding, Policy } from "./policy.ts";

export interface PolicyParts {
  store: Store;
  versions: VersionsOf;
  authorizer: Authorizer;
  paramKinds: ParamKinds;
}

/** One policy to evaluate with one binding's parameters, or why it cannot be. */
export interface Invocation {
  policy: Policy;
  binding: Binding | undefined;
  version: ServedVersion;
  /** Each is evaluated for itself. */
  params: readonly (DynamicObject | undefined)[];
  error?: string;
}

export async function invocationsOf(
  policies: readonly Policy[],
  bindings: readonly Binding[],
  a: AdmissionAttributes,
  parts: PolicyParts,
): Promise<Invocation[]> {
  const found: Invocation[] = [];
  for (const policy of policies) {
    const bound = bindings.filter(({ policyName }) => policyName === policy.name);
    if (bound.length === 0) continue;
    const version = await matchRequest(policy.matching, a, parts.versions(a.tenant), parts.store);
    if (!version) continue;
    const { paramKind } = policy.spec;
    if (paramKind && !parts.paramKinds(a.tenant, paramKind)) {
      const why = `failed to find resource referenced by paramKind: '${paramKind.apiVersion}, Kind=${paramKind.kind}'`;
      found.push({ policy, binding: undefined, version, params: [], error: `failed to configure policy: ${why}` });
      continue;
    }
    for (const binding of bound) {
      if (binding.matching && !(await matchRequest(binding.matching, a, parts.versions(a.tenant), parts.store)))
        continue;
      found.push(await withParams(policy, binding, version, a, parts));
    }
  }
  return found;
}

async function withParams(
  policy: Policy,
  binding: Binding,
  version: ServedVersion,
  a: AdmissionAttributes,
  { paramKinds, store }: PolicyParts,
): Promise<Invocation> {
  const input = { kind: policy.spec.paramKind, ref: binding.paramRef, tenant: a.tenant, namespace: namespaceOf(a) };
  try {
    return { policy, binding, version, params: await collectParams(input, paramKinds, store) };
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return { policy, binding, version, params: [], error: `failed to configure binding: ${error.message}` };
  }
}
