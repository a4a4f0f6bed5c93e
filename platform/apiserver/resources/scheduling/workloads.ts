/**
 * Workloads and PodGroups (scheduling.k8s.io/v1alpha2, KEP-4671), served where GenericWorkload is on. Fields of features that are off are dropped:
 * preemption of groups (KEP-5710), their claims, and the domain that they stand in (KEP-5732).
 */
import type { PodGroup, PodGroupSchedulingPolicy, PodGroupTemplate, Workload } from "#sdk/api/generated/types.ts";
import { isDNS1123Label, isDNS1123Subdomain, isQualifiedName } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, duplicate, invalidValue, notSupported, required, tooMany } from "../../registry/causes.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { each, same } from "../checks.ts";
import { validateConditions } from "../conditions.ts";

const TEMPLATES_MAX = 8;
/** Of TopologyAwareWorkloadScheduling. */
const TOPOLOGY = ["schedulingConstraints"] as const satisfies readonly (keyof PodGroupTemplate)[];
const TOPOLOGY_MAX = 1;
/** Of DRAWorkloadResourceClaims. */
const CLAIMS = ["resourceClaims"] as const satisfies readonly (keyof PodGroupTemplate)[];
const CLAIMS_MAX = 4;
/** Of WorkloadAwarePreemption. */
const PREEMPTION = [
  "disruptionMode",
  "priorityClassName",
  "priority",
] as const satisfies readonly (keyof PodGroupTemplate)[];
const DISRUPTION_MODES = ["Pod", "PodGroup"];

type Spec = Partial<PodGroupTemplate>;

/** What of groups is on beside the groups themselves. */
export interface GroupFeatures {
  /** WorkloadAwarePreemption. */
  preemption: boolean;
  /** DRAWorkloadResourceClaims. */
  claims: boolean;
  /** TopologyAwareWorkloadScheduling. */
  topology: boolean;
}

const dropping =
  ({ preemption, claims, topology }: GroupFeatures) =>
  (spec: Spec | undefined): void => {
    if (!spec) return;
    const off = [...(topology ? [] : TOPOLOGY), ...(preemption ? [] : PREEMPTION), ...(claims ? [] : CLAIMS)];
    for (const field of off) delete spec[field];
    if (preemption) spec.disruptionMode ??= "Pod";
  };

function validatePreemption({ disruptionMode, priorityClassName }: Spec, at: string): Causes {
  return [
    ...(disruptionMode === undefined || DISRUPTION_MODES.includes(disruptionMode)
      ? []
      : [notSupported(`${at}.disruptionMode`, disruptionMode, DISRUPTION_MODES)]),
    ...(priorityClassName
      ? each(isDNS1123Subdomain(priorityClassName), `${at}.priorityClassName`, priorityClassName)
      : []),
  ];
}

function validateClaims({ resourceClaims = [] }: Spec, at: string): Causes {
  const field = `${at}.resourceClaims`;
  if (resourceClaims.length > CLAIMS_MAX) return [tooMany(field, resourceClaims.length, CLAIMS_MAX)];
  return resourceClaims.flatMap(({ name, resourceClaimName, resourceClaimTemplateName }, i) => {
    const set = [resourceClaimName, resourceClaimTemplateName].filter((one) => one !== undefined);
    const fields = "`resourceClaimName`, `resourceClaimTemplateName`";
    const other = set.length === 0 ? "must specify one of" : "must specify exactly one of";
    return [
      ...each(isDNS1123Label(name), `${field}[${i}].name`, name),
      ...(resourceClaims.findIndex((one) => one.name === name) < i ? [duplicate(`${field}[${i}]`, { name })] : []),
      ...(set.length === 1 ? [] : [invalidValue(`${field}[${i}]`, "", `${other}: ${fields}`)]),
      ...set.flatMap((one) => each(isDNS1123Subdomain(one), `${field}[${i}]`, one)),
    ];
  });
}

function validateTopology({ schedulingConstraints }: Spec, at: string): Causes {
  const field = `${at}.schedulingConstraints.topology`;
  const topology = schedulingConstraints?.topology ?? [];
  if (topology.length > TOPOLOGY_MAX) return [tooMany(field, topology.length, TOPOLOGY_MAX)];
  return topology.flatMap(({ key }, i) =>
    key ? each(isQualifiedName(key), `${field}[${i}].key`, key) : [required(`${field}[${i}].key`)],
  );
}

function validatePolicy(policy: PodGroupSchedulingPolicy | undefined, at: string): Causes {
  const { basic, gang } = policy ?? {};
  const set = [basic ? "`basic`" : [], gang ? "`gang`" : []].flat();
  if (set.length === 0) return [invalidValue(at, "", "must specify one of: `basic`, `gang`")];
  if (set.length > 1) {
    return [invalidValue(at, `{${set.join(", ")}}`, "must specify exactly one of: `basic`, `gang`")];
  }
  if (!gang || (gang.minCount ?? 0) >= 1) return [];
  const field = `${at}.gang.minCount`;
  return gang.minCount ? [invalidValue(field, gang.minCount, "must be greater than or equal to 1")] : [required(field)];
}

const immutable = (next: unknown, old: unknown, field: string): Causes =>
  same(next, old) ? [] : [invalidValue(field, next, "field is immutable")];

function validateReference({ spec }: Workload): Causes {
  const { controllerRef } = spec ?? {};
  if (!controllerRef) return [];
  const { apiGroup, kind, name } = controllerRef;
  const at = "spec.controllerRef";
  return [
    ...(apiGroup ? each(isDNS1123Subdomain(apiGroup), `${at}.apiGroup`, apiGroup) : []),
    ...(kind ? [] : [required(`${at}.kind`)]),
    ...(name ? [] : [required(`${at}.name`)]),
  ];
}

function validateTemplates({ spec }: Workload): Causes {
  const templates = spec?.podGroupTemplates ?? [];
  const at = "spec.podGroupTemplates";
  if (templates.length === 0) return [required(at)];
  if (templates.length > TEMPLATES_MAX) return [tooMany(at, templates.length, TEMPLATES_MAX)];
  return templates.flatMap(({ name, schedulingPolicy, ...more }, i) => [
    ...(name ? each(isDNS1123Label(name), `${at}[${i}].name`, name) : [required(`${at}[${i}].name`)]),
    ...(templates.findIndex((other) => other.name === name) < i ? [duplicate(`${at}[${i}]`, { name })] : []),
    ...validatePolicy(schedulingPolicy, `${at}[${i}].schedulingPolicy`),
    ...validatePreemption(more, `${at}[${i}]`),
    ...validateClaims(more, `${at}[${i}]`),
    ...validateTopology(more, `${at}[${i}]`),
  ]);
}

export const workloadStrategy =
  (features: GroupFeatures) =>
  (facts: ResourceFacts): Strategy =>
    genericStrategy(facts, {
      validateName: (name) => isDNS1123Subdomain(name),
      prepareForCreate: (object) => as<Workload>(object).spec?.podGroupTemplates?.forEach(dropping(features)),
      prepareForUpdate: (next) => as<Workload>(next).spec?.podGroupTemplates?.forEach(dropping(features)),
      validate: (object) => [...validateReference(as<Workload>(object)), ...validateTemplates(as<Workload>(object))],
      validateUpdate(next, old) {
        const [after, before] = [as<Workload>(next).spec, as<Workload>(old).spec];
        // Who controls it may be told later, once.
        return [
          ...(before?.controllerRef ? immutable(after?.controllerRef, before.controllerRef, "spec.controllerRef") : []),
          ...immutable(after?.podGroupTemplates, before?.podGroupTemplates, "spec.podGroupTemplates"),
        ];
      },
    });

function validateGroup({ spec }: PodGroup): Causes {
  const at = "spec.podGroupTemplateRef";
  const { workload } = spec?.podGroupTemplateRef ?? {};
  const { workloadName, podGroupTemplateName } = workload ?? {};
  const reference: Causes = [];
  if (spec?.podGroupTemplateRef && !workload) {
    reference.push(invalidValue(at, "", "must specify one of: `workload`"));
  } else if (workload) {
    reference.push(
      ...(workloadName
        ? each(isDNS1123Subdomain(workloadName), `${at}.workload.workloadName`, workloadName)
        : [required(`${at}.workload.workloadName`)]),
      ...(podGroupTemplateName
        ? each(isDNS1123Label(podGroupTemplateName), `${at}.workload.podGroupTemplateName`, podGroupTemplateName)
        : [required(`${at}.workload.podGroupTemplateName`)]),
    );
  }
  return [
    ...reference,
    ...validatePolicy(spec?.schedulingPolicy, "spec.schedulingPolicy"),
    ...validatePreemption(spec ?? {}, "spec"),
    ...validateClaims(spec ?? {}, "spec"),
    ...validateTopology(spec ?? {}, "spec"),
  ];
}

export const podGroupStrategy =
  (features: GroupFeatures) =>
  (facts: ResourceFacts): Strategy =>
    genericStrategy(facts, {
      validateName: (name) => isDNS1123Subdomain(name),
      prepareForCreate: (object) => dropping(features)(as<PodGroup>(object).spec),
      prepareForUpdate: (next) => dropping(features)(as<PodGroup>(next).spec),
      validate: (object) => validateGroup(as<PodGroup>(object)),
      validateUpdate(next, old) {
        const [after, before] = [as<PodGroup>(next).spec, as<PodGroup>(old).spec];
        return [
          ...immutable(after?.podGroupTemplateRef, before?.podGroupTemplateRef, "spec.podGroupTemplateRef"),
          ...immutable(after?.schedulingPolicy, before?.schedulingPolicy, "spec.schedulingPolicy"),
          ...[...PREEMPTION, ...CLAIMS, ...TOPOLOGY].flatMap((field) =>
            immutable(after?.[field], before?.[field], `spec.${field}`),
          ),
        ];
      },
      views: {
        status: {
          ...statusView,
          validateUpdate: (next) => validateConditions(as<PodGroup>(next).status?.conditions, "status.conditions"),
        },
      },
    });
