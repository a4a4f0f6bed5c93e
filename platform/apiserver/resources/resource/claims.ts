/** ResourceClaims, their templates and DeviceClasses (pkg/apis/resource/validation). */
import type {
  DeviceClaim,
  DeviceClass,
  DeviceRequest,
  ResourceClaim,
  ResourceClaimSpec,
  ResourceClaimTemplate,
} from "#sdk/api/generated/types.ts";
import { validateLabels } from "#sdk/api/labels.ts";
import { isDNS1123Subdomain } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue, required } from "../../registry/causes.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import { validateAnnotations } from "../../registry/meta.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { immutable, oneOf, subdomain } from "../checks.ts";
import {
  validateConfiguration,
  validateLabelName,
  validateQualified,
  validateSelectors,
  validateSet,
  validateToleration,
} from "./devices.ts";

const REQUESTS_MAX = 32;
const ALTERNATIVES_MAX = 8;
const RESERVED_MAX = 256;
const MODES = ["All", "ExactCount"];
const ONE_OF = "exactly one of `exactly` or `firstAvailable` is required";
const REFERENCE =
  "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

type Wanted = NonNullable<DeviceRequest["exactly"]>;

function defaultWanted(wanted: Partial<Wanted>): void {
  wanted.allocationMode ||= "ExactCount";
  if (wanted.allocationMode === "ExactCount") wanted.count ||= 1;
}

function defaultClaim(devices: DeviceClaim | undefined): void {
  for (const { exactly, firstAvailable } of devices?.requests ?? []) {
    if (exactly) defaultWanted(exactly);
    for (const alternative of firstAvailable ?? []) defaultWanted(alternative);
  }
}

function validateWanted(wanted: Partial<Wanted>, at: string): Causes {
  const { deviceClassName: name, allocationMode: mode = "", count = 0 } = wanted;
  const causes = name ? subdomain(name, `${at}.deviceClassName`) : [required(`${at}.deviceClassName`)];
  causes.push(...validateSelectors(wanted.selectors, `${at}.selectors`));
  causes.push(...oneOf(mode, `${at}.allocationMode`, MODES));
  if (mode === "All" && count !== 0)
    causes.push(invalidValue(`${at}.count`, count, "must not be specified when allocationMode is 'All'"));
  if (mode === "ExactCount" && count <= 0) causes.push(invalidValue(`${at}.count`, count, "must be greater than zero"));
  return [...causes, ...(wanted.tolerations ?? []).flatMap((t, i) => validateToleration(t, `${at}.tolerations[${i}]`))];
}

function validateRequest({ name, exactly, firstAvailable }: DeviceRequest, at: string): Causes {
  const causes = validateLabelName(name, `${at}.name`);
  const alternatives = (firstAvailable?.length ?? 0) > 0;
  if (alternatives && exactly) return [...causes, invalidValue(at, null, `${ONE_OF}, but multiple fields are set`)];
  if (exactly) return [...causes, ...validateWanted(exactly, `${at}.exactly`)];
  if (!alternatives) return [...causes, required(at, ONE_OF)];
  return [
    ...causes,
    ...validateSet(
      firstAvailable,
      ALTERNATIVES_MAX,
      `${at}.firstAvailable`,
      (a) => a.name ?? "",
      (a, field) => [...validateLabelName(a.name, `${field}.name`), ...validateWanted(a, field)],
    ),
  ];
}

function validateClaim(devices: DeviceClaim | undefined, at: string): Causes {
  const names = new Set(
    (devices?.requests ?? []).flatMap(({ name = "", firstAvailable }) => [
      name,
      ...(firstAvailable ?? []).map((a) => `${name}/${a.name}`),
    ]),
  );
  const references = (requests: readonly string[] | undefined, of: string): Causes =>
    validateSet(
      requests,
      REQUESTS_MAX,
      `${of}.requests`,
      (name) => name,
      (name, field) => [
        ...(name.split("/").length > 2 ? [] : name.split("/").flatMap((part) => validateLabelName(part, field))),
        ...(names.has(name) ? [] : [invalidValue(field, name, REFERENCE)]),
      ],
    );
  return [
    ...validateSet(devices?.requests, REQUESTS_MAX, `${at}.requests`, (r) => r.name ?? "", validateRequest),
    ...validateSet(devices?.constraints, REQUESTS_MAX, `${at}.constraints`, undefined, (constraint, field) => {
      const { requests, matchAttribute, distinctAttribute } = constraint;
      const causes = references(requests, field);
      if (matchAttribute !== undefined)
        causes.push(...validateQualified(matchAttribute, `${field}.matchAttribute`, true));
      else if (distinctAttribute !== undefined)
        causes.push(...validateQualified(distinctAttribute, `${field}.distinctAttribute`, true));
      else
        causes.push(
          required(
            field,
            'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set',
          ),
        );
      return causes;
    }),
    ...validateSet(devices?.config, REQUESTS_MAX, `${at}.config`, undefined, (config, field) => [
      ...references(config.requests, field),
      ...validateConfiguration(config, field),
    ]),
  ];
}

function validateStatus({ status }: ResourceClaim, old: ResourceClaim): Causes {
  const field = "status.reservedFor";
  const reserved = status?.reservedFor ?? [];
  const causes = validateSet(
    reserved,
    RESERVED_MAX,
    field,
    (r) => r.uid ?? "",
    (r, at) => (["resource", "name", "uid"] as const).flatMap((f) => (r[f] ? [] : [required(`${at}.${f}`)])),
  );
  if (reserved.length > 0 && !status?.allocation)
    causes.push(forbiddenField(field, "may not be specified when `allocated` is not set"));
  if (status?.allocation && old.status?.allocation)
    causes.push(...immutable("status.allocation", status.allocation, old.status.allocation));
  return causes;
}

export const resourceClaimStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: false,
    returnsDeletedObject: true,
    applyDefaults: (object) => defaultClaim(as<ResourceClaim>(object).spec?.devices),
    validate: (object) => validateClaim(as<ResourceClaim>(object).spec?.devices, "spec.devices"),
    validateUpdate: (next, old) => immutable("spec", as<ResourceClaim>(next).spec, as<ResourceClaim>(old).spec),
    views: {
      status: {
        ...statusView,
        validateUpdate: (next, old) => validateStatus(as<ResourceClaim>(next), as<ResourceClaim>(old)),
      },
    },
  });

export const resourceClaimTemplateStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    returnsDeletedObject: true,
    applyDefaults: (object) => defaultClaim(as<ResourceClaimTemplate>(object).spec?.spec?.devices),
    validate(object) {
      const { spec } = as<ResourceClaimTemplate>(object);
      const metadata = (
        spec as { metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> } }
      )?.metadata;
      return [
        ...validateLabels(metadata?.labels, "spec.metadata.labels"),
        ...validateAnnotations(metadata?.annotations, "spec.metadata.annotations"),
        ...validateClaim((spec?.spec as ResourceClaimSpec | undefined)?.devices, "spec.spec.devices"),
      ];
    },
    validateUpdate: (next, old) =>
      immutable("spec", as<ResourceClaimTemplate>(next).spec, as<ResourceClaimTemplate>(old).spec),
  });

/** Resource names that are neither Kubernetes' own nor quota's. */
const isExtended = (name: string): boolean =>
  /^[^/]+\/[^/]+$/.test(name) && !name.split("/")[0]?.endsWith("kubernetes.io") && !name.startsWith("requests.");

export const deviceClassStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    validateName: (name) => isDNS1123Subdomain(name, "bytes"),
    generation: true,
    returnsDeletedObject: true,
    validate(object) {
      const { spec } = as<DeviceClass>(object);
      const extended = spec?.extendedResourceName;
      return [
        ...validateSelectors(spec?.selectors, "spec.selectors"),
        ...validateSet(spec?.config, REQUESTS_MAX, "spec.config", undefined, validateConfiguration),
        ...(extended !== undefined && !isExtended(extended)
          ? [invalidValue("spec.extendedResourceName", extended, "must be a valid extended resource name")]
          : []),
      ];
    },
  });
