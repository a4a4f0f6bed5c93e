/** Rules of metadata that hold for every kind (apimachinery's api/validation/objectmeta.go and registry/rest). */

import { deepEqual } from "#platform/base/equal.ts";
import { validateLabels } from "#sdk/api/labels.ts";
import { isDNS1123Label, isQualifiedName } from "#sdk/api/names.ts";
import type { DynamicObject, ObjectMeta, OwnerReference } from "#sdk/api/object.ts";
import { type Causes, forbiddenField, invalidValue, required, tooLongValue } from "./causes.ts";
import type { NameValidator } from "./names.ts";

const ANNOTATIONS_MAX_BYTES = 256 * 1024;
const STANDARD_FINALIZERS = new Set(["kubernetes", "orphan", "foregroundDeletion"]);
const BANNED_OWNERS = new Set(["v1/Event"]);

export function validateAnnotations(annotations: Record<string, string> | undefined, field: string): Causes {
  const causes: Causes = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    for (const m of isQualifiedName(key.toLowerCase())) causes.push(invalidValue(field, key, m));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > ANNOTATIONS_MAX_BYTES) causes.push(tooLongValue(field, ANNOTATIONS_MAX_BYTES));
  return causes;
}

/** As it's written: what must be there first, in Go's order. */
function ownerShown({
  apiVersion = "",
  kind = "",
  name = "",
  uid = "",
  controller,
  blockOwnerDeletion,
}: OwnerReference) {
  return {
    apiVersion,
    kind,
    name,
    uid,
    ...(controller === undefined ? {} : { controller }),
    ...(blockOwnerDeletion === undefined ? {} : { blockOwnerDeletion }),
  };
}

function validateOwners(meta: ObjectMeta, field: string): Causes {
  const causes: Causes = [];
  const controllers: string[] = [];
  for (const owner of meta.ownerReferences ?? []) {
    // Upstream gives these without an index.
    const parts = (owner.apiVersion ?? "").split("/");
    const version = parts.length > 2 ? "" : parts.at(-1);
    if (!version) causes.push(invalidValue(`${field}.apiVersion`, owner.apiVersion ?? "", "version must not be empty"));
    for (const key of ["kind", "name", "uid"] as const) {
      if (!owner[key]) causes.push(invalidValue(`${field}.${key}`, owner[key] ?? "", "must not be empty"));
    }
    if (BANNED_OWNERS.has(`${owner.apiVersion}/${owner.kind}`)) {
      causes.push(invalidValue(field, ownerShown(owner), `/v1, Kind=Event is disallowed from being an owner`));
    }
    if (owner.controller) controllers.push(`${owner.kind}/${owner.name}`);
  }
  if (controllers.length > 1) {
    causes.push(
      invalidValue(
        field,
        (meta.ownerReferences ?? []).map(ownerShown),
        `Only one reference can have Controller set to true. Found "true" in references for ${controllers[0]} and ${controllers[1]}`,
      ),
    );
  }
  return causes;
}

function validateFinalizers(finalizers: readonly string[] | undefined, field: string): Causes {
  const causes: Causes = [];
  for (const name of finalizers ?? []) for (const m of isQualifiedName(name)) causes.push(invalidValue(field, name, m));
  if (finalizers?.includes("orphan") && finalizers.includes("foregroundDeletion")) {
    causes.push(invalidValue(field, finalizers, "finalizer orphan and foregroundDeletion cannot be both set"));
  }
  return causes;
}

/** Core's own rule beside the generic one: by domain, or one of those that Kubernetes knows. */
const isKnownFinalizer = (name: string): boolean => name.includes("/") || STANDARD_FINALIZERS.has(name);
const UNKNOWN_FINALIZER = "name is neither a standard finalizer name nor is it fully qualified";

/** One name, told of at `field`. */
export const validateFinalizerName = (name: string, field: string): Causes => [
  ...isQualifiedName(name).map((m) => invalidValue(field, name, m)),
  ...(isKnownFinalizer(name) ? [] : [invalidValue(field, name, UNKNOWN_FINALIZER)]),
];

function validateKnownFinalizers(finalizers: readonly string[] | undefined, field: string): Causes {
  return (finalizers ?? []).flatMap((name, i) =>
    isKnownFinalizer(name) ? [] : [invalidValue(`${field}[${i}]`, name, UNKNOWN_FINALIZER)],
  );
}

/** What the rules of metadata depend on beside metadata. */
export interface MetaRules {
  namespaced: boolean;
  validateName: NameValidator;
  /** Finalizers are standard or have a domain. */
  knownFinalizers: boolean;
}

/** ValidateObjectMeta. */
export function validateMeta(meta: ObjectMeta, rules: MetaRules): Causes {
  const { namespaced, validateName: name, knownFinalizers } = rules;
  const causes: Causes = [];
  if (meta.generateName) {
    for (const m of name(meta.generateName, true)) {
      causes.push(invalidValue("metadata.generateName", meta.generateName, m));
    }
  }
  if (!meta.name) causes.push(required("metadata.name", "name or generateName is required"));
  else for (const m of name(meta.name, false)) causes.push(invalidValue("metadata.name", meta.name, m));
  if (namespaced) {
    if (!meta.namespace) causes.push(required("metadata.namespace"));
    else
      for (const m of isDNS1123Label(meta.namespace))
        causes.push(invalidValue("metadata.namespace", meta.namespace, m));
  } else if (meta.namespace) {
    causes.push(forbiddenField("metadata.namespace", "not allowed on this type"));
  }
  if (meta.generation !== undefined && meta.generation < 0) {
    causes.push(invalidValue("metadata.generation", meta.generation, "must be greater than or equal to 0"));
  }
  causes.push(...validateLabels(meta.labels, "metadata.labels"));
  causes.push(...validateAnnotations(meta.annotations, "metadata.annotations"));
  causes.push(...validateOwners(meta, "metadata.ownerReferences"));
  causes.push(...validateFinalizers(meta.finalizers, "metadata.finalizers"));
  if (knownFinalizers) causes.push(...validateKnownFinalizers(meta.finalizers, "metadata.finalizers"));
  return causes;
}

const OF_TEMPLATES: ReadonlySet<string> = new Set(["labels", "annotations"]);

/** What is made from a template gets labels and annotations from it. Upstream refuses other fields by Go's names of them. */
export const validateTemplateMeta = (meta: ObjectMeta | undefined, field: string): Causes => [
  ...validateAnnotations(meta?.annotations, `${field}.annotations`),
  ...validateLabels(meta?.labels, `${field}.labels`),
  ...Object.keys(meta ?? {})
    .filter((name) => !OF_TEMPLATES.has(name))
    .map((name) => forbiddenField(`${field}.${name === "uid" ? "uID" : name}`, "cannot be set")),
];

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
const immutable = (field: string, value: unknown) => invalidValue(field, value, "field is immutable");

/** ValidateObjectMetaUpdate: what may not change, and finalizers that may not be added to a deleted object. */
function validateMetaChange(next: ObjectMeta, old: ObjectMeta, knownFinalizers: boolean): Causes {
  const causes: Causes = [];
  if (old.deletionTimestamp) {
    const extra = (next.finalizers ?? []).filter((f) => !(old.finalizers ?? []).includes(f));
    if (extra.length > 0) {
      const detail = `no new finalizers can be added if the object is being deleted, found new finalizers []string{${extra.map((f) => JSON.stringify(f)).join(", ")}}`;
      causes.push(forbiddenField("metadata.finalizers", detail));
    }
  }
  if (next.name !== old.name) causes.push(immutable("metadata.name", next.name ?? ""));
  if ((next.namespace ?? "") !== (old.namespace ?? ""))
    causes.push(immutable("metadata.namespace", next.namespace ?? ""));
  if (next.uid !== old.uid) causes.push(immutable("metadata.uid", next.uid ?? ""));
  if (next.creationTimestamp !== old.creationTimestamp) {
    causes.push(immutable("metadata.creationTimestamp", next.creationTimestamp ?? null));
  }
  if (next.deletionTimestamp !== old.deletionTimestamp) {
    causes.push(immutable("metadata.deletionTimestamp", next.deletionTimestamp ?? null));
  }
  if (next.deletionGracePeriodSeconds !== old.deletionGracePeriodSeconds) {
    causes.push(immutable("metadata.deletionGracePeriodSeconds", next.deletionGracePeriodSeconds ?? null));
  }
  causes.push(...validateLabels(next.labels, "metadata.labels"));
  causes.push(...validateAnnotations(next.annotations, "metadata.annotations"));
  causes.push(...validateOwners(next, "metadata.ownerReferences"));
  if (knownFinalizers) causes.push(...validateKnownFinalizers(next.finalizers, "metadata.finalizers"));
  return causes;
}

/** The generic registry's check, then the kind's own. */
export function validateMetaUpdate(
  next: ObjectMeta,
  old: ObjectMeta,
  rules: MetaRules,
  repeated: readonly ("whole" | "change")[],
): Causes {
  const causes = [
    ...validateMeta(next, { ...rules, validateName: () => [], knownFinalizers: false }),
    ...validateMetaChange(next, old, false),
  ];
  // Nearly all metadata is good: then there is nothing to repeat but the one rule that only kinds have.
  if (causes.length === 0 && (!rules.knownFinalizers || !next.finalizers?.length)) return causes;
  for (const check of repeated)
    causes.push(
      ...(check === "whole" ? validateMeta(next, rules) : validateMetaChange(next, old, rules.knownFinalizers)),
    );
  return causes;
}

/** True when the two differ outside metadata and status: what raises metadata.generation. */
export function specChanged(next: DynamicObject, old: DynamicObject): boolean {
  const keys = new Set([...Object.keys(next), ...Object.keys(old)]);
  for (const key of keys) {
    if (key === "metadata" || key === "status" || key === "kind" || key === "apiVersion") continue;
    if (!same(sorted(next[key] ?? undefined), sorted(old[key] ?? undefined))) return true;
  }
  return false;
}

/** The same value with object keys in order, so that texts can be compared. */
export function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  const out: Record<string, unknown> = {};
  for (const key of Object.keys(value).sort()) {
    const v = (value as Record<string, unknown>)[key];
    if (v !== undefined) out[key] = sorted(v);
  }
  return out;
}

const withoutTimes = ({ metadata }: DynamicObject): unknown => {
  const { managedFields, resourceVersion, ...meta } = metadata;
  return { ...meta, managedFields: managedFields?.map(({ time: _, ...rest }) => rest) };
};

/** Nothing changed but the times of managed fields: the write is not made and the old version is answered. */
export const unchanged = (next: DynamicObject, old: DynamicObject): boolean =>
  deepEqual({ ...next, metadata: undefined }, { ...old, metadata: undefined }) &&
  deepEqual(withoutTimes(next), withoutTimes(old));
