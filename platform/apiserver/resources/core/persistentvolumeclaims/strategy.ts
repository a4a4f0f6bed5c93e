/** PersistentVolumeClaims, and the same rules for the claims in templates. */
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import { isDNS1123Label } from "#sdk/api/names.ts";
import { compareQuantities, parseQuantity } from "#sdk/api/quantity.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue, required } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { each, immutable, oneOf, same, subdomain } from "../../checks.ts";
import { VOLUME_MODES, validateAccessModes } from "../persistentvolumes/validation.ts";

interface DataSource {
  apiGroup?: string;
  kind?: string;
  name?: string;
  namespace?: string;
}

const IMMUTABLE =
  "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

function validateDataSource(source: DataSource, at: string): Causes {
  const causes: Causes = [];
  for (const field of ["name", "kind"] as const) if (!source[field]) causes.push(required(`${at}.${field}`));
  if (!source.apiGroup && source.kind !== "PersistentVolumeClaim")
    causes.push(
      invalidValue(at, source.kind ?? "", "must be 'PersistentVolumeClaim' when referencing the default apiGroup"),
    );
  if (source.apiGroup) causes.push(...subdomain(source.apiGroup, `${at}.apiGroup`));
  if (source.namespace) causes.push(...each(isDNS1123Label(source.namespace), `${at}.namespace`, source.namespace));
  return causes;
}

function validateStorage(amount: string | number | undefined, field: string): Causes {
  if (amount === undefined) return [required(field)];
  return parseQuantity(amount).nano > 0n ? [] : [invalidValue(field, String(amount), "must be greater than zero")];
}

export function validateClaimSpec(spec: PersistentVolumeClaimSpec, at: string): Causes {
  const source = spec.dataSource as DataSource | undefined;
  const reference = spec.dataSourceRef as DataSource | undefined;
  const causes: Causes = [
    ...validateAccessModes(spec.accessModes, `${at}.accessModes`, "at least 1 access mode is required"),
    ...validateLabelSelector(spec.selector, `${at}.selector`),
    ...validateStorage(spec.resources?.requests?.["storage"], `${at}.resources[storage]`),
    ...(spec.storageClassName ? subdomain(spec.storageClassName, `${at}.storageClassName`) : []),
    ...oneOf(spec.volumeMode, `${at}.volumeMode`, VOLUME_MODES),
    ...(source ? validateDataSource(source, `${at}.dataSource`) : []),
    ...(reference ? validateDataSource(reference, `${at}.dataSourceRef`) : []),
  ];
  const { namespace: _, ...plain } = reference ?? {};
  if (source && reference?.namespace)
    causes.push(invalidValue(at, `${at}.dataSource`, "may not be specified when dataSourceRef.namespace is specified"));
  else if (source && reference && !same(source, plain))
    causes.push(invalidValue(at, `${at}.dataSource`, "must match dataSourceRef"));
  if (spec.volumeAttributesClassName)
    causes.push(...subdomain(spec.volumeAttributesClassName, `${at}.volumeAttributesClassName`));
  return causes;
}

/** A claim that is bound may grow and change its attributes; the volume's name may be filled in once. */
function fixedPart(claim: PersistentVolumeClaim, other: PersistentVolumeClaim, bound: boolean): unknown {
  const spec = structuredClone(claim.spec ?? {});
  if (!other.spec?.volumeName || !spec.volumeName) delete spec.volumeName;
  if (other.spec?.storageClassName === undefined || spec.storageClassName === undefined) delete spec.storageClassName;
  if (bound) {
    if (spec.resources?.requests) delete spec.resources.requests["storage"];
    delete spec.volumeAttributesClassName;
  }
  return spec;
}

function validateUpdate(next: PersistentVolumeClaim, old: PersistentVolumeClaim): Causes {
  const causes = validateClaimSpec(next.spec ?? {}, "spec");
  const bound = next.status?.phase === "Bound";
  const unset = (field: "volumeName" | "storageClassName") => Boolean(old.spec?.[field]) && !next.spec?.[field];
  if (
    !same(fixedPart(next, old, bound), fixedPart(old, next, bound)) ||
    unset("volumeName") ||
    unset("storageClassName")
  )
    causes.push(forbiddenField("spec", IMMUTABLE));
  const [after, before] = [next.spec?.resources?.requests?.["storage"], old.spec?.resources?.requests?.["storage"]];
  if (after !== undefined && before !== undefined) {
    const smaller = compareQuantities(parseQuantity(after), parseQuantity(before)) < 0;
    const actual = parseQuantity(old.status?.capacity?.["storage"] ?? "0");
    if (smaller && compareQuantities(parseQuantity(after), actual) <= 0)
      causes.push(forbiddenField("spec.resources.requests.storage", "field can not be less than status.capacity"));
  }
  causes.push(...immutable("volumeMode", next.spec?.volumeMode, old.spec?.volumeMode));
  const attributes = next.spec?.volumeAttributesClassName;
  if (old.status?.currentVolumeAttributesClassName !== undefined && !attributes) {
    const what = attributes === undefined ? "nil" : "empty string";
    causes.push(
      forbiddenField(
        "spec.volumeAttributesClassName",
        `update to ${what} is forbidden when status.currentVolumeAttributesClassName is not nil`,
      ),
    );
  }
  return causes;
}

/** Each of the two names of a claim's source is told from the other (KEP-1495). */
function normalizeSources(spec: PersistentVolumeClaimSpec | undefined): void {
  if (!spec) return;
  if (spec.dataSource && !spec.dataSourceRef) spec.dataSourceRef = structuredClone(spec.dataSource);
  else if (spec.dataSourceRef && !spec.dataSource && !spec.dataSourceRef.namespace)
    spec.dataSource = structuredClone(spec.dataSourceRef);
}

export function defaultClaim(claim: { spec?: PersistentVolumeClaimSpec; status?: { phase?: string } }): void {
  claim.spec ??= {};
  claim.spec.volumeMode ??= "Filesystem";
  claim.status ??= {};
  claim.status.phase ||= "Pending";
}

export const persistentVolumeClaimStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: false,
    returnsDeletedObject: true,
    applyDefaults: (object) => defaultClaim(as<PersistentVolumeClaim>(object)),
    prepareForCreate: (object) => normalizeSources(as<PersistentVolumeClaim>(object).spec),
    prepareForUpdate: (next) => normalizeSources(as<PersistentVolumeClaim>(next).spec),
    validate: (object) => validateClaimSpec(as<PersistentVolumeClaim>(object).spec ?? {}, "spec"),
    validateUpdate: (next, old) => validateUpdate(as<PersistentVolumeClaim>(next), as<PersistentVolumeClaim>(old)),
  });
