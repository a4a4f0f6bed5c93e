/** Which requests a webhook or policy is about: rules, selectors, and versions that are the same objects (apiserver's admission/plugin/webhook/predicates). */
import type { Store, TenantId } from "#platform/store/port.ts";
import type { LabelSelector, NamedRuleWithOperations } from "#sdk/api/generated/types.ts";
import { type Labels, selectsLabels } from "#sdk/api/labels.ts";
import type { DynamicObject, GroupVersionKind, GroupVersionResource } from "#sdk/api/object.ts";
import { notFound } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";

/** One of the versions in which the same stored object is served. */
export interface ServedVersion {
  resource: GroupVersionResource;
  kind: GroupVersionKind;
}

export interface Versions {
  /** All versions of a resource, its own too; for a subresource, those that serve it. */
  equivalents(resource: GroupVersionResource, subresource: string): readonly ServedVersion[];
  convert(
    object: DynamicObject,
    from: GroupVersionResource,
    to: GroupVersionResource,
  ): DynamicObject | Promise<DynamicObject>;
  /** Writes the values that defaulting sets, in place. */
  applyDefaults(resource: GroupVersionResource, object: DynamicObject): void;
  /** What somebody made of an object, as an object of its kind; throws where it is none, naming the field. Custom resources are held to their schema later. */
  typed(kind: GroupVersionKind, object: DynamicObject): DynamicObject;
}

/** As a tenant is served them. */
export type VersionsOf = (tenant: TenantId) => Versions;

export interface Matching {
  rules: readonly NamedRuleWithOperations[];
  excluded?: readonly NamedRuleWithOperations[];
  /** "Equivalent" unless it is "Exact". */
  matchPolicy?: string | undefined;
  namespaceSelector?: LabelSelector | undefined;
  objectSelector?: LabelSelector | undefined;
}

const CONFIGURATION_KINDS = new Set([
  "ValidatingWebhookConfiguration",
  "MutatingWebhookConfiguration",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
  "MutatingAdmissionPolicy",
  "MutatingAdmissionPolicyBinding",
]);

/** What configures admission is never subject to what it configures: nobody can lock themselves out. */
export const isExempt = ({ kind }: AdmissionAttributes): boolean =>
  kind.group === "admissionregistration.k8s.io" && CONFIGURATION_KINDS.has(kind.kind);

const has = (items: readonly string[] | undefined, wanted: string): boolean =>
  (items ?? []).some((item) => item === "*" || item === wanted);

/** A namespace object counts as inside itself, and as cluster-scoped. */
export const namespaceOf = ({ resource, namespace, name }: AdmissionAttributes): string =>
  resource.group === "" && resource.resource === "namespaces" ? name : namespace;

function inScope(scope: string | undefined, a: AdmissionAttributes, resource: GroupVersionResource): boolean {
  if (scope === undefined || scope === "*") return true;
  const isNamespace = resource.group === "" && resource.resource === "namespaces";
  const namespaced = !isNamespace && a.namespace !== "";
  return scope === "Namespaced" ? namespaced : !namespaced;
}

export function ruleMatches(
  rule: NamedRuleWithOperations,
  a: AdmissionAttributes,
  resource: GroupVersionResource,
): boolean {
  return (
    inScope(rule.scope, a, resource) &&
    has(rule.operations, a.operation) &&
    has(rule.apiGroups, resource.group) &&
    has(rule.apiVersions, resource.version) &&
    (rule.resources ?? []).some((full) => {
      const [name = "", sub = ""] = full.split("/", 2);
      return (name === "*" || name === resource.resource) && (sub === "*" || sub === a.subresource);
    }) &&
    (!rule.resourceNames?.length || rule.resourceNames.includes(a.name))
  );
}

/** The version in which the rules want the object; undefined when no rule matches. */
export function versionFor(matching: Matching, a: AdmissionAttributes, versions: Versions): ServedVersion | undefined {
  const own = { resource: a.resource, kind: a.kind };
  const { rules, excluded = [] } = matching;
  const equivalent = matching.matchPolicy !== "Exact";
  const others = equivalent
    ? versions.equivalents(a.resource, a.subresource).filter(({ resource }) => !sameResource(resource, a.resource))
    : [];
  if ([own, ...others].some(({ resource }) => excluded.some((rule) => ruleMatches(rule, a, resource))))
    return undefined;
  if (rules.some((rule) => ruleMatches(rule, a, a.resource))) return own;
  for (const rule of rules) {
    const found = others.find(({ resource }) => ruleMatches(rule, a, resource));
    if (found) return found;
  }
  return undefined;
}

const sameResource = (a: GroupVersionResource, b: GroupVersionResource): boolean =>
  a.group === b.group && a.version === b.version && a.resource === b.resource;

const isEmpty = (selector: LabelSelector | undefined): boolean =>
  !selector || (!selector.matchExpressions?.length && Object.keys(selector.matchLabels ?? {}).length === 0);

export function objectSelected(
  selector: LabelSelector | undefined,
  { object, oldObject }: AdmissionAttributes,
): boolean {
  if (isEmpty(selector)) return true;
  return [object, oldObject].some((o) => o?.metadata && selectsLabels(selector, o.metadata.labels ?? {}));
}

/** The namespace a request is in, as it is stored. */
export async function readNamespace(store: Store, a: AdmissionAttributes): Promise<DynamicObject | undefined> {
  const name = namespaceOf(a);
  if (name === "") return undefined;
  const key = { tenant: a.tenant, resource: "namespaces", namespace: "", name };
  const stored =
    (await store.get(key, { type: "atLeast", revision: 0 })) ?? (await store.get(key, { type: "consistent" }));
  return stored && (JSON.parse(stored.document) as DynamicObject);
}

/** Throws StatusError 404 where the namespace is gone. */
export async function namespaceSelected(
  selector: LabelSelector | undefined,
  a: AdmissionAttributes,
  store: Store,
): Promise<boolean> {
  if (isEmpty(selector)) return true;
  const isNamespace = a.resource.group === "" && a.resource.resource === "namespaces";
  if (a.namespace === "" && !isNamespace) return true;
  let labels: Labels | undefined;
  if (isNamespace && a.subresource === "" && a.object && a.operation !== "DELETE")
    labels = a.object.metadata.labels ?? {};
  else {
    const namespace = await readNamespace(store, a);
    if (!namespace) throw notFound({ group: "", resource: "namespaces" }, namespaceOf(a));
    labels = namespace.metadata.labels ?? {};
  }
  return selectsLabels(selector, labels);
}

/** Rules and selectors together: the version in which the object is wanted. */
export async function matchRequest(
  matching: Matching,
  a: AdmissionAttributes,
  versions: Versions,
  store: Store,
): Promise<ServedVersion | undefined> {
  const version = versionFor(matching, a, versions);
  if (!version || !objectSelected(matching.objectSelector, a)) return undefined;
  return (await namespaceSelected(matching.namespaceSelector, a, store)) ? version : undefined;
}
