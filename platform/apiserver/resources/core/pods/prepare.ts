/** What the server makes of a pod before it judges it (PrepareForCreate of upstream's strategy). */
import { timeText } from "#platform/base/clock.ts";
import type { AppArmorProfile, Pod, PodAffinityTerm, PodSpec } from "#sdk/api/generated/types.ts";
import { same } from "../../checks.ts";
import { APP_ARMOR, profileOf } from "./annotations.ts";
import { qosClass } from "./quantities.ts";
import { validateAppArmor } from "./security.ts";
import { eachContainer } from "./windows.ts";

type Labels = Readonly<Record<string, string>>;
type Selected = Pick<PodAffinityTerm, "labelSelector" | "matchLabelKeys" | "mismatchLabelKeys">;

/** Projections behind gates that are off by default. */
const DISABLED_SOURCES = ["clusterTrustBundle", "podCertificate"] as const;

const usesStopSignal = (spec: PodSpec | undefined): boolean =>
  eachContainer(spec ?? { containers: [] }, "").some(({ container }) => container.lifecycle?.stopSignal !== undefined);

/** Fields whose features are off are not kept, unless the object has them already. */
export function dropDisabled(spec: PodSpec | undefined, old?: PodSpec): void {
  if (!spec) return;
  for (const { container } of usesStopSignal(old) ? [] : eachContainer(spec, "")) {
    if (container.lifecycle?.stopSignal === undefined) continue;
    delete container.lifecycle.stopSignal;
    if (Object.keys(container.lifecycle).length === 0) delete container.lifecycle;
  }
  if (!old?.schedulingGroup) delete spec.schedulingGroup;
  const sources = (of: PodSpec | undefined) => (of?.volumes ?? []).flatMap(({ projected }) => projected?.sources ?? []);
  for (const field of DISABLED_SOURCES) {
    if (sources(old).some((source) => source[field])) continue;
    for (const source of sources(spec)) delete source[field];
  }
}

/** A key of the pod's own labels becomes part of what is selected (KEP-3633). */
function mergeKeys({ labelSelector, matchLabelKeys = [], mismatchLabelKeys = [] }: Selected, labels: Labels): void {
  if (!labelSelector) return;
  for (const [operator, keys] of [
    ["In", matchLabelKeys],
    ["NotIn", mismatchLabelKeys],
  ] as const)
    for (const key of keys) {
      const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
      if (value === undefined) continue;
      labelSelector.matchExpressions ??= [];
      labelSelector.matchExpressions.push({ key, operator, values: [value] });
    }
}

function mergeLabels({ affinity, topologySpreadConstraints = [] }: PodSpec, labels: Labels): void {
  for (const kind of [affinity?.podAffinity, affinity?.podAntiAffinity]) {
    for (const { podAffinityTerm: term } of kind?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
      if (term) mergeKeys(term, labels);
    for (const term of kind?.requiredDuringSchedulingIgnoredDuringExecution ?? []) mergeKeys(term, labels);
  }
  for (const constraint of topologySpreadConstraints) mergeKeys(constraint, labels);
}

/** A container's confinement, where an annotation tells it and the field does not. */
function fillAppArmor(spec: PodSpec, annotations: Labels): void {
  if (spec.os?.name === "windows") return;
  for (const { container } of eachContainer(spec, "")) {
    const profile: AppArmorProfile | undefined = profileOf(annotations[APP_ARMOR + (container.name ?? "")]);
    const known = profile && validateAppArmor(profile, "").length === 0;
    if (!known || container.securityContext?.appArmorProfile) continue;
    if (same(profile, spec.securityContext?.appArmorProfile)) continue;
    container.securityContext = { ...container.securityContext, appArmorProfile: profile };
  }
}

/** `now`: milliseconds since the epoch. */
export function preparePod(pod: Pod, now: number): void {
  const spec = pod.spec ?? { containers: [] };
  pod.status = { phase: "Pending", qosClass: qosClass(pod) };
  dropDisabled(spec);
  // A negative time was once allowed and meant "at once"; no time at all would be a pod taken away by force.
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) spec.terminationGracePeriodSeconds = 1;
  if (spec.schedulingGates?.length)
    pod.status.conditions = [
      {
        type: "PodScheduled",
        status: "False",
        lastTransitionTime: timeText(now),
        reason: "SchedulingGated",
        message: "Scheduling is blocked due to non-empty scheduling gates",
      },
    ];
  mergeLabels(spec, pod.metadata?.labels ?? {});
  fillAppArmor(spec, pod.metadata?.annotations ?? {});
}
