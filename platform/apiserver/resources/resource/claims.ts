/** ResourceClaims, their templates and DeviceClasses (pkg/apis/resource/validation). */
import type {
  DeviceClaim,
  DeviceClass,
  DeviceRequest,
  ResourceClaim,
  ResourceClaimSpec,
  ResourceClaimTemplate,
} from "#sdk/api/generated/types.ts";
import { isDNS1123Subdomain, isQualifiedName } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, required } from "../../registry/causes.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import { goValue } from "../../registry/go-names.ts";
import { validateTemplateMeta } from "../../registry/meta.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { oneOf, same, subdomain } from "../checks.ts";
import { requestNames, validateClaimStatus, validateRequestName } from "./allocation.ts";
import { claimEffects } from "./device-ledger.ts";
import {
  validateConfiguration,
  validateFullyQualified,
  validateLabelName,
  validateSelectors,
  validateSet,
  validateToleration,
} from "./devices.ts";
import { CLAIM_SPEC } from "./go.ts";

const REQUESTS_MAX = 32;
const ALTERNATIVES_MAX = 8;
const MODES = ["All", "ExactCount"];
const ONE_OF = "exactly one of `exactly` or `firstAvailable` is required";

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
  const names = requestNames(devices);
  const references = (requests: readonly string[] | undefined, of: string): Causes =>
    validateSet(
      requests,
      REQUESTS_MAX,
      `${of}.requests`,
      (name) => name,
      (name, field) => validateRequestName(name, field, names),
    );
  return [
    ...validateSet(devices?.requests, REQUESTS_MAX, `${at}.requests`, (r) => r.name ?? "", validateRequest),
    ...validateSet(devices?.constraints, REQUESTS_MAX, `${at}.constraints`, undefined, (constraint, field) => {
      const { requests, matchAttribute, distinctAttribute } = constraint;
      const causes = references(requests, field);
      if (matchAttribute !== undefined)
        causes.push(...validateFullyQualified(matchAttribute, `${field}.matchAttribute`));
      else if (distinctAttribute !== undefined)
        causes.push(...validateFullyQualified(distinctAttribute, `${field}.distinctAttribute`));
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

export const resourceClaimStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: false,
    returnsDeletedObject: true,
    effects: claimEffects,
    applyDefaults: (object) => defaultClaim(as<ResourceClaim>(object).spec?.devices),
    validate: (object) => validateClaim(as<ResourceClaim>(object).spec?.devices, "spec.devices"),
    validateUpdate: (next, old) =>
      same(as<ResourceClaim>(next).spec, as<ResourceClaim>(old).spec)
        ? []
        : [invalidValue("spec", goValue(as<ResourceClaim>(next).spec, CLAIM_SPEC), "field is immutable")],
    views: {
      status: {
        ...statusView,
        validateUpdate: (next, old) => validateClaimStatus(as<ResourceClaim>(next), as<ResourceClaim>(old)),
      },
    },
  });

interface Template {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec?: ResourceClaimSpec;
}
const templateOf = ({ spec }: ResourceClaimTemplate): Template => (spec ?? {}) as Template;

function validateTemplate(template: ResourceClaimTemplate): Causes {
  const { metadata, spec } = templateOf(template);
  return [...validateTemplateMeta(metadata, "spec.metadata"), ...validateClaim(spec?.devices, "spec.spec.devices")];
}

export const resourceClaimTemplateStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    returnsDeletedObject: true,
    applyDefaults: (object) => defaultClaim(as<ResourceClaimTemplate>(object).spec?.spec?.devices),
    validate: (object) => validateTemplate(as<ResourceClaimTemplate>(object)),
    validateUpdate(next, old) {
      const [after, before] = [as<ResourceClaimTemplate>(next), as<ResourceClaimTemplate>(old)];
      const causes = validateTemplate(after);
      if (same(after.spec, before.spec)) return causes;
      const { metadata, spec } = templateOf(after);
      return [
        ...causes,
        invalidValue("spec", { ...metadata, Spec: goValue(spec ?? {}, CLAIM_SPEC) }, "field is immutable"),
      ];
    },
  });

/** Resource names that are neither Kubernetes' own nor quota's. */
const isExtended = (name: string): boolean =>
  name.includes("/") &&
  !name.includes("kubernetes.io/") &&
  !name.startsWith("requests.") &&
  isQualifiedName(`requests.${name}`).length === 0;

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
