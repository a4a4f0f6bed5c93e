/** Validation of pod specs as upstream's ValidatePodSpec does it, whole; the parts stand beside it. */
import type { ObjectMeta, Pod, PodSpec, Toleration, Volume } from "#sdk/api/generated/types.ts";
import { validateLabels } from "#sdk/api/labels.ts";
import { isInRange, isLabelValue, isQualifiedName } from "#sdk/api/names.ts";
import {
  type Causes,
  forbiddenField,
  invalidValue,
  notFoundValue,
  notSupportedInOrder,
  required,
} from "../../../registry/causes.ts";
import { each } from "../../checks.ts";
import { toleratedIn, validateAttraction, validateSpreading } from "./affinity.ts";
import { hasWrongCost, MIRROR, validatePodAnnotations, validateProfiles } from "./annotations.ts";
import {
  validateContainers,
  validateEphemeralContainers,
  validateImage,
  validateInitContainers,
} from "./containers.ts";
import { claimNames, validateOverhead, validatePodResources, validateResourceClaims } from "./resources.ts";
import { validateHostUsers, validatePodSecurity } from "./security.ts";
import { validateHostname, validateHostPorts, validateNames, validateWaits } from "./settings.ts";
import { validateVolumes } from "./volumes.ts";
import { eachContainer, validateHostProcess, validateOS } from "./windows.ts";

const RESTART_POLICIES = ["Always", "OnFailure", "Never"];
const DNS_POLICIES = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const DEADLINE_MAX = 2 ** 31 - 1;
const EQUAL_OPERATORS = ["Equal", "Exists"];
const COMPARING_OPERATORS = [...EQUAL_OPERATORS, "Lt", "Gt"];
const TAINT_EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/** What a spec is checked with, besides itself. */
export interface PodRules {
  /** The pod that has it; a template is none's yet. */
  pod?: ObjectMeta;
  /** As it was before a change: what it was let in with it may keep. */
  old?: PodSpec;
}

/** One of the values, told in their order; absent is missing. */
const chosen = (value: string | undefined, field: string, values: readonly string[]): Causes =>
  value ? (values.includes(value) ? [] : [notSupportedInOrder(field, value, values)]) : [required(field)];

function validateTolerationValue({ operator = "", value = "" }: Toleration, field: string): Causes {
  if (operator === "" || operator === "Equal") {
    const wrong = isLabelValue(value);
    return wrong.length > 0 ? [invalidValue(field, value, wrong.join(";"))] : [];
  }
  if (operator === "Exists")
    return value ? [invalidValue(field, value, "value must be empty when `operator` is 'Exists'")] : [];
  // Comparisons are told of where they are asked for, and then refused: their feature is off.
  const known = operator === "Lt" || operator === "Gt" ? COMPARING_OPERATORS : EQUAL_OPERATORS;
  return [notSupportedInOrder(field, operator, known)];
}

export const validateTolerations = (tolerations: readonly Toleration[], path: string): Causes =>
  tolerations.flatMap((toleration, i) => {
    const at = `${path}[${i}]`;
    const { key, operator = "", effect = "", tolerationSeconds } = toleration;
    const causes = key ? each(isQualifiedName(key), `${at}.key`, key) : [];
    const all = 'operator must be Exists when `key` is empty, which means "match all values and all keys"';
    if (!key && operator !== "Exists") causes.push(invalidValue(`${at}.operator`, operator, all));
    if (tolerationSeconds !== undefined && effect !== "NoExecute")
      causes.push(invalidValue(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"));
    causes.push(...validateTolerationValue(toleration, `${at}.operator`));
    if (effect && !TAINT_EFFECTS.includes(effect))
      causes.push(notSupportedInOrder(`${at}.effect`, effect, TAINT_EFFECTS));
    return causes;
  });

/** Files that variables are read from lie in volumes that start empty. */
function validateFileVolumes(spec: PodSpec, path: string): Causes {
  const volumes = new Map<string, Volume>((spec.volumes ?? []).map((v) => [v.name ?? "", v]));
  return eachContainer(spec, path).flatMap(({ container, at }) =>
    (container.env ?? []).flatMap(({ valueFrom }, i) => {
      if (!valueFrom?.fileKeyRef) return [];
      const { volumeName = "" } = valueFrom.fileKeyRef;
      const field = `${at}.env[${i}].valueFrom.fileKeyRef.volumeName`;
      const volume = volumes.get(volumeName);
      if (!volume) return [notFoundValue(field, volumeName)];
      return volume.emptyDir ? [] : [invalidValue(field, volumeName, "referenced volume must be of type emptyDir")];
    }),
  );
}

const asksForRestart = (spec: PodSpec): boolean =>
  (spec.initContainers ?? []).some(
    ({ restartPolicy, resizePolicy = [] }) =>
      restartPolicy !== "Always" && resizePolicy.some((p) => p.restartPolicy === "RestartContainer"),
  );

const hasOddPages = (spec: PodSpec): boolean => {
  const containers = eachContainer(spec, "");
  const odd = containers.flatMap(({ container }) =>
    validatePodResources({ containers: [], resources: container.resources }, "", new Set(), false),
  );
  return odd.some(({ message }) => message?.includes("is not positive integer multiple of"));
};

function validateAllContainers(spec: PodSpec, path: string, { pod, old }: PodRules): Causes {
  const identity = { pod: pod !== undefined, name: pod?.name ?? "" };
  const { causes, volumes } = validateVolumes(spec.volumes ?? [], `${path}.volumes`, identity);
  const claims = claimNames(spec);
  const oddHugePages = old !== undefined && hasOddPages(old);
  const initRestarts = old !== undefined && asksForRestart(old);
  const context = { spec, volumes, claims, oddHugePages, initRestarts };
  const mirror = pod?.annotations?.[MIRROR] !== undefined;
  return [
    ...causes,
    ...validateResourceClaims(spec.resourceClaims ?? [], `${path}.resourceClaims`, mirror),
    ...validateContainers(context, `${path}.containers`),
    ...validateInitContainers(context, `${path}.initContainers`),
    ...validateEphemeralContainers(context, `${path}.ephemeralContainers`),
    ...validatePodResources(spec, path, claims, oddHugePages),
  ];
}

function validateTimes(
  { terminationGracePeriodSeconds: grace, activeDeadlineSeconds: deadline }: PodSpec,
  path: string,
) {
  return [
    ...(grace === undefined ? [required(`${path}.terminationGracePeriodSeconds`)] : []),
    ...(deadline === undefined
      ? []
      : each(isInRange(deadline, 1, DEADLINE_MAX), `${path}.activeDeadlineSeconds`, deadline)),
  ];
}

/** `path` is "spec" for a pod and "spec.template.spec" for a template. */
export function validatePodSpec(spec: PodSpec, path: string, rules: PodRules = {}): Causes {
  const { pod, old } = rules;
  const tolerated = old && toleratedIn(old);
  const devices = old?.hostUsers === false && eachContainer(old, "").some((c) => c.container.volumeDevices?.length);
  return [
    ...validateTimes(spec, path),
    ...validateAllContainers(spec, path, rules),
    ...validateHostPorts(spec, path, pod !== undefined),
    ...chosen(spec.restartPolicy, `${path}.restartPolicy`, RESTART_POLICIES),
    ...chosen(spec.dnsPolicy, `${path}.dnsPolicy`, DNS_POLICIES),
    ...validateLabels(spec.nodeSelector, `${path}.nodeSelector`),
    ...validatePodSecurity(spec, path, old),
    ...validateAttraction(spec, path, tolerated),
    ...validateWaits(spec, path),
    ...validateSpreading(spec, path, tolerated),
    ...validateHostProcess(spec, path),
    ...validateHostUsers(spec, path, devices),
    ...validateHostname(spec, path),
    ...validateNames(spec, path),
    ...validateTolerations(spec.tolerations ?? [], `${path}.tolerations`),
    ...validateOverhead(spec.overhead, `${path}.overhead`),
    ...validateOS(spec, path),
    ...validateFileVolumes(spec, path),
  ];
}

/** What holds for a pod and not for a template (validatePodMetadataAndSpec). */
export function validatePod(pod: Pod, old?: Pod): Causes {
  const spec = pod.spec ?? { containers: [] };
  const { annotations } = pod.metadata ?? {};
  const images = (["containers", "initContainers"] as const).flatMap((list) =>
    (spec[list] ?? []).flatMap((container, i) => validateImage(container, `spec.${list}[${i}]`)),
  );
  const tokens = spec.serviceAccountName
    ? []
    : (spec.volumes ?? []).flatMap(({ projected }, i) =>
        (projected?.sources ?? []).flatMap(({ serviceAccountToken: token }, j) =>
          token ? [`spec.volumes[${i}].projected.sources[${j}].serviceAccountToken`] : [],
        ),
      );
  return [
    ...validatePodAnnotations(annotations, spec, "metadata.annotations", hasWrongCost(old?.metadata?.annotations)),
    ...validatePodSpec(spec, "spec", { pod: pod.metadata ?? {}, old: old?.spec }),
    ...tokens.map((at) => forbiddenField(at, "must not be specified when serviceAccountName is not set")),
    ...images,
  ];
}

export function validateNewPod(pod: Pod): Causes {
  const spec = pod.spec ?? { containers: [] };
  const causes = validatePod(pod);
  if (spec.ephemeralContainers?.length)
    causes.push(forbiddenField("spec.ephemeralContainers", "cannot be set on create"));
  if (spec.nodeName && spec.schedulingGates?.length)
    causes.push(forbiddenField("spec.nodeName", "cannot be set until all schedulingGates have been cleared"));
  return [...causes, ...validateProfiles(pod.metadata?.annotations, spec, "spec")];
}
