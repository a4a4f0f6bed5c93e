/** Validation of PersistentVolumeClaims and of the claims in templates (ValidatePersistentVolumeClaimSpec, ValidatePersistentVolumeClaimUpdate). */
import type {
  PersistentVolumeClaim,
  PersistentVolumeClaimSpec,
  PersistentVolumeClaimTemplate,
} from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import { isDNS1123Label } from "#sdk/api/names.ts";
import { compareQuantities, parseQuantity } from "#sdk/api/quantity.ts";
import { type Causes, forbiddenField, invalidValue, required } from "../../../registry/causes.ts";
import { validateTemplateMeta } from "../../../registry/meta.ts";
import { each, immutable, oneOf, same, subdomain } from "../../checks.ts";
import { VOLUME_MODES, validateAccessModes } from "../persistentvolumes/validation.ts";

interface DataSource {
  apiGroup?: string;
  kind?: string;
  name?: string;
  namespace?: string;
}

/** What an older version let in and a change may keep. */
interface Kept {
  group: boolean;
  selectorValues: boolean;
}

const NOTHING_KEPT: Kept = { group: false, selectorValues: false };
const STORAGE_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class";
const IMMUTABLE =
  "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

function validateDataSource(source: DataSource, at: string, { group }: Kept): Causes {
  const causes: Causes = [];
  for (const field of ["name", "kind"] as const) if (!source[field]) causes.push(required(`${at}.${field}`));
  if (!source.apiGroup && source.kind !== "PersistentVolumeClaim")
    causes.push(
      invalidValue(at, source.kind ?? "", "must be 'PersistentVolumeClaim' when referencing the default apiGroup"),
    );
  if (source.apiGroup && !group) causes.push(...subdomain(source.apiGroup, `${at}.apiGroup`));
  if (source.namespace) causes.push(...each(isDNS1123Label(source.namespace), `${at}.namespace`, source.namespace));
  return causes;
}

function validateStorage(amount: string | number | undefined, field: string): Causes {
  if (amount === undefined) return [required(field)];
  return parseQuantity(amount).nano > 0n ? [] : [invalidValue(field, String(amount), "must be greater than zero")];
}

/** The two ways to name a source agree; upstream shows the path of the other one, as a struct without JSON of its own. */
function validateAgreement(source: DataSource | undefined, reference: DataSource | undefined, at: string): Causes {
  if (!source || !reference) return [];
  const wrong = (detail: string) => [invalidValue(at, {}, detail)];
  if (reference.namespace) return wrong("may not be specified when dataSourceRef.namespace is specified");
  const { namespace: _, ...plain } = reference;
  const { namespace: __, ...named } = source;
  return same(named, plain) ? [] : wrong("must match dataSourceRef");
}

export function validateClaimSpec(spec: PersistentVolumeClaimSpec, at: string, kept = NOTHING_KEPT): Causes {
  const source = spec.dataSource as DataSource | undefined;
  const reference = spec.dataSourceRef as DataSource | undefined;
  const attributes = spec.volumeAttributesClassName;
  return [
    ...validateAccessModes(spec.accessModes, `${at}.accessModes`, "at least 1 access mode is required"),
    ...validateLabelSelector(spec.selector, `${at}.selector`, kept.selectorValues),
    ...validateStorage(spec.resources?.requests?.["storage"], `${at}.resources[storage]`),
    ...(spec.storageClassName ? subdomain(spec.storageClassName, `${at}.storageClassName`) : []),
    ...oneOf(spec.volumeMode, `${at}.volumeMode`, VOLUME_MODES),
    ...(source ? validateDataSource(source, `${at}.dataSource`, kept) : []),
    ...(reference ? validateDataSource(reference, `${at}.dataSourceRef`, kept) : []),
    ...validateAgreement(source, reference, at),
    ...(attributes ? subdomain(attributes, `${at}.volumeAttributesClassName`) : []),
  ];
}

/** A claim that a pod or a StatefulSet has made for it. */
export const validateClaimTemplate = (template: PersistentVolumeClaimTemplate, at: string): Causes => [
  ...validateTemplateMeta(template.metadata, `${at}.metadata`),
  ...validateClaimSpec(template.spec ?? {}, `${at}.spec`),
];

/** Where the class was an annotation, it may become the field, and a claim without one may get one. */
function classMayBecome(next: PersistentVolumeClaim, old: PersistentVolumeClaim): boolean {
  const annotated = old.metadata?.annotations?.[STORAGE_CLASS_ANNOTATION];
  const chosen = next.spec?.storageClassName;
  return (
    old.spec?.storageClassName === undefined &&
    chosen !== undefined &&
    (annotated === undefined || annotated === chosen)
  );
}

/** A claim that is bound may grow and change its attributes; the volume's name may be filled in once. */
function fixedPart(next: PersistentVolumeClaim, old: PersistentVolumeClaim): unknown {
  const spec = structuredClone(next.spec ?? {});
  const before = old.spec ?? {};
  if (!before.volumeName) delete spec.volumeName;
  if (classMayBecome(next, old)) delete spec.storageClassName;
  if (next.status?.phase !== "Bound") return spec;
  if (spec.resources?.requests) {
    const amount = before.resources?.requests?.["storage"];
    if (amount === undefined) delete spec.resources.requests["storage"];
    else spec.resources.requests["storage"] = amount;
  }
  spec.volumeAttributesClassName = before.volumeAttributesClassName;
  return spec;
}

function validateClassAnnotation(next: PersistentVolumeClaim, old: PersistentVolumeClaim): Causes {
  const [after, before] = [next, old].map((claim) => claim.metadata?.annotations?.[STORAGE_CLASS_ANNOTATION]);
  const moved = before !== undefined && after === undefined && classMayBecome(next, old);
  if (moved || (after ?? "") === (before ?? "")) return [];
  return [invalidValue(`metadata.annotations.${STORAGE_CLASS_ANNOTATION}`, after ?? "", "field is immutable")];
}

function validateSize(next: PersistentVolumeClaim, old: PersistentVolumeClaim): Causes {
  const size = (claim: PersistentVolumeClaim) => parseQuantity(claim.spec?.resources?.requests?.["storage"] ?? "0");
  const actual = parseQuantity(old.status?.capacity?.["storage"] ?? "0");
  const smaller = compareQuantities(size(next), size(old)) < 0 && compareQuantities(size(next), actual) <= 0;
  return smaller
    ? [forbiddenField("spec.resources.requests.storage", "field can not be less than status.capacity")]
    : [];
}

function keptOf({ spec }: PersistentVolumeClaim): Kept {
  const sources = [spec?.dataSource, spec?.dataSourceRef] as (DataSource | undefined)[];
  return {
    group: sources.some((source) => typeof source?.apiGroup === "string"),
    selectorValues: validateLabelSelector(spec?.selector, "").length > 0,
  };
}

export function validateClaimUpdate(next: PersistentVolumeClaim, old: PersistentVolumeClaim): Causes {
  const causes = validateClaimSpec(next.spec ?? {}, "spec", keptOf(old));
  causes.push(...validateClassAnnotation(next, old));
  const { volumeName: _, ...unnamed } = old.spec ?? {};
  const fixed = old.spec?.volumeName ? (old.spec ?? {}) : unnamed;
  if (!same(fixedPart(next, old), fixed)) causes.push(forbiddenField("spec", IMMUTABLE));
  causes.push(...validateSize(next, old));
  causes.push(...immutable("volumeMode", next.spec?.volumeMode, old.spec?.volumeMode));
  const attributes = next.spec?.volumeAttributesClassName;
  if (
    old.status?.currentVolumeAttributesClassName !== undefined &&
    !attributes &&
    old.spec?.volumeAttributesClassName !== attributes
  ) {
    const what = attributes === undefined ? "nil" : "empty string";
    const detail = `update to ${what} is forbidden when status.currentVolumeAttributesClassName is not nil`;
    causes.push(forbiddenField("spec.volumeAttributesClassName", detail));
  }
  return causes;
}
