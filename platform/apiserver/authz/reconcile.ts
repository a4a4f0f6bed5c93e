/**
 * Default roles and bindings as they should be, over what is there: what is missing is added, what somebody added stays, and nothing is touched that
 * says rbac.authorization.kubernetes.io/autoupdate=false (upstream's auth/rbac/reconciliation). Pure.
 */
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import { compacted, type PolicyRule, type Subject, uncovered } from "./rules.ts";

const AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate";

interface Role {
  rules?: PolicyRule[] | null;
  aggregationRule?: { clusterRoleSelectors?: JsonObject[] };
}
interface Binding {
  roleRef?: { apiGroup?: string; kind?: string; name?: string };
  subjects?: Subject[];
}

const text = (value: unknown): string => JSON.stringify(value, (_, v: unknown) => (isObject(v) ? sortedEntries(v) : v));
const isObject = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);
const sortedEntries = (v: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Labels and annotations of both; what is there wins. */
function withMeta(present: DynamicObject, wanted: DynamicObject): DynamicObject {
  const merged = (["labels", "annotations"] as const).flatMap((name) => {
    const both = { ...wanted.metadata[name], ...present.metadata[name] };
    return Object.keys(both).length > 0 ? [[name, both]] : [];
  });
  return { ...present, metadata: { ...present.metadata, ...Object.fromEntries(merged) } };
}

function withRules(present: DynamicObject, wanted: DynamicObject): DynamicObject {
  const [is, should] = [present as Role, wanted as Role];
  const missing = compacted(uncovered(is.rules ?? [], should.rules ?? []));
  const next = {
    ...present,
    ...(missing.length > 0 ? { rules: [...(is.rules ?? []), ...missing] } : {}),
  } as DynamicObject;
  const selectors = is.aggregationRule?.clusterRoleSelectors ?? [];
  if (!should.aggregationRule) delete (next as Role).aggregationRule;
  const absent = (should.aggregationRule?.clusterRoleSelectors ?? []).filter(
    (selector) => !selectors.some((one) => text(one) === text(selector)),
  );
  if (absent.length > 0) (next as Role).aggregationRule = { clusterRoleSelectors: [...selectors, ...absent] };
  return next;
}

function withSubjects(present: DynamicObject, wanted: DynamicObject): DynamicObject {
  const subjects = (present as Binding).subjects ?? [];
  const same = (a: Subject, b: Subject) =>
    a.kind === b.kind && a.name === b.name && (a.namespace ?? "") === (b.namespace ?? "");
  const missing = ((wanted as Binding).subjects ?? []).filter((subject) => !subjects.some((one) => same(one, subject)));
  return missing.length > 0 ? ({ ...present, subjects: [...subjects, ...missing] } as DynamicObject) : present;
}

/** The object to write; undefined when it is as it should be, protected, or of another role (a binding's role cannot be changed). */
export function reconciled(present: DynamicObject, wanted: DynamicObject): DynamicObject | undefined {
  if (present.metadata.annotations?.[AUTOUPDATE] === "false") return undefined;
  const [is, should] = [(present as Binding).roleRef, (wanted as Binding).roleRef];
  if (should && (is?.kind !== should.kind || is?.name !== should.name)) return undefined;
  const met = withMeta(present, wanted);
  const next = should ? withSubjects(met, wanted) : withRules(met, wanted);
  return text(next) === text(present) ? undefined : next;
}
