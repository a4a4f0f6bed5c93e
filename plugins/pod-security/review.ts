/** What PodSecurity answers to one review: pure (pod-security-admission/admission). */
import type { Container, Pod, PodSpec } from "#sdk/api/generated/types.ts";
import type { StatusCause } from "#sdk/api/status.ts";
import {
  compareLevels,
  isFullyPrivileged,
  isSame,
  type Labels,
  type LevelVersion,
  MODES,
  type Policy,
  PREFIX,
  PRIVILEGED,
  policyOf,
  text,
} from "./policy.ts";
import { detailText, findings, reasonText } from "./standards.ts";
import type { Finding, PodLike } from "./visit.ts";

/** Plugin.spec.config: what upstream reads from a PodSecurityConfiguration. */
export interface Config {
  defaults?: Readonly<Record<string, string>>;
  exemptions?: { usernames?: string[]; namespaces?: string[]; runtimeClasses?: string[] };
}

export interface Answer {
  /** Why not: after `pods "web" is forbidden: `. */
  denied?: string;
  /** Labels of a namespace that cannot be. */
  invalid?: StatusCause[];
  warnings: string[];
  /** By key, with its prefix. */
  annotations: Record<string, string>;
}

const PODS_CHECKED_MAX = 3000;
const allowed = (annotations: Record<string, string> = {}): Answer => ({ warnings: [], annotations });

export function defaultPolicy({ defaults = {} }: Config): Policy {
  const labels = Object.entries(defaults).map(([key, value]): [string, string] => [PREFIX + key, value]);
  return policyOf(Object.fromEntries(labels), PRIVILEGED).policy;
}

/** Which of a pod's changes can change what was found: images, and containers that come or go. */
function isSignificant(now: PodSpec, before: PodSpec): boolean {
  const differs = (a: readonly Container[] = [], b: readonly Container[] = []) =>
    a.length !== b.length || a.some((container, i) => container.image !== b[i]?.image);
  return (
    differs(now.containers, before.containers) ||
    differs(now.initContainers, before.initContainers) ||
    (now.ephemeralContainers ?? []).some(
      ({ name, image }) => before.ephemeralContainers?.find((other) => other.name === name)?.image !== image,
    )
  );
}

export interface PodQuestion {
  config: Config;
  user: string;
  namespace: string;
  namespaceLabels: Labels;
  /** Of what makes pods: warned about and audited, never refused. */
  isTemplate: boolean;
  /** Undefined where there is no template. */
  pod: PodLike | undefined;
  /** Of an update. */
  before: PodLike | undefined;
}

/** A pod, or what makes pods. */
export function judgePod(question: PodQuestion): Answer {
  const { config, user, namespace, isTemplate, pod, before } = question;
  const { exemptions = {} } = config;
  const exempt = (why: string) => allowed({ [`${PREFIX}exempt`]: why });
  if (exemptions.namespaces?.includes(namespace)) return exempt("namespace");
  if (exemptions.usernames?.includes(user)) return exempt("user");
  const { policy, causes } = policyOf(question.namespaceLabels, defaultPolicy(config));
  if (causes.length === 0 && isFullyPrivileged(isTemplate ? { ...policy, enforce: PRIVILEGED.enforce } : policy))
    return allowed(isTemplate ? {} : { [`${PREFIX}enforce-policy`]: text(PRIVILEGED.enforce) });
  if (!pod || (!isTemplate && before && !isSignificant(pod.spec, before.spec))) return allowed();
  const runtimeClass = pod.spec.runtimeClassName;
  if (runtimeClass && exemptions.runtimeClasses?.includes(runtimeClass)) return exempt("runtimeClass");
  return evaluate(pod, policy, causes, !isTemplate);
}

function evaluate(pod: PodLike, policy: Policy, causes: readonly StatusCause[], enforces: boolean): Answer {
  const known = new Map<string, Finding[]>();
  const found = (wanted: LevelVersion): Finding[] => {
    const key = text(wanted);
    const result = known.get(key) ?? findings(wanted, pod);
    known.set(key, result);
    return result;
  };
  const violates = (wanted: LevelVersion) => `violate PodSecurity "${text(wanted)}": ${detailText(found(wanted))}`;
  const answer = allowed();
  const note = (key: string, value: string) => {
    answer.annotations[PREFIX + key] = value;
  };
  if (causes.length > 0) note("error", `Failed to parse policy: ${aggregate(causes)}`);
  if (enforces) {
    note("enforce-policy", text(policy.enforce));
    if (found(policy.enforce).length > 0) answer.denied = violates(policy.enforce).replace("violate", "violates");
  }
  if (found(policy.audit).length > 0) note("audit-violations", `would ${violates(policy.audit)}`);
  if (answer.denied === undefined && found(policy.warn).length > 0)
    answer.warnings.push(`would ${violates(policy.warn)}`);
  return answer;
}

const causeText = ({ field, message }: StatusCause) => `${field}: ${message}`;
const aggregate = (causes: readonly StatusCause[]): string =>
  causes.length === 1 ? causes.map(causeText).join("") : `[${causes.map(causeText).join(", ")}]`;

export interface NamespaceQuestion {
  config: Config;
  name: string;
  labels: Labels;
  /** Of an update. */
  labelsBefore: Labels | undefined;
  /** Those that are there now. */
  pods: readonly Pod[];
}

/** Labels must say something; existing pods that a stricter level would forbid are warned about. */
export function judgeNamespace({ config, name, labels, labelsBefore, pods }: NamespaceQuestion): Answer {
  const defaults = defaultPolicy(config);
  const { policy, causes } = policyOf(labels, defaults);
  const before = labelsBefore && policyOf(labelsBefore, defaults);
  const changed = !before || JSON.stringify(before.causes) !== JSON.stringify(causes);
  if (causes.length > 0 && changed) return { ...allowed(), invalid: causes };
  if (before) {
    const [now, was] = [policy.enforce, before.policy.enforce];
    if (isSame(now, was) || now.level === "privileged") return allowed();
    if (now.version === was.version && compareLevels(now.level, was.level) <= 0) return allowed();
  }
  const warnings = config.exemptions?.namespaces?.includes(name)
    ? exemptionWarning(name, policy, labels, defaults)
    : before
      ? podWarnings(name, policy.enforce, inOrder(pods, config))
      : [];
  return { ...allowed(), warnings };
}

function exemptionWarning(name: string, policy: Policy, labels: Labels, defaults: Policy): string[] {
  const isEquivalent = (a: LevelVersion, b: LevelVersion) =>
    isSame(a, b) || (a.level === "privileged" && b.level === "privileged");
  if (isFullyPrivileged(policy) || MODES.every((mode) => isEquivalent(policy[mode], defaults[mode]))) return [];
  const set = MODES.filter(
    (mode) =>
      policy[mode].level !== "privileged" &&
      (labels[PREFIX + mode] !== undefined || labels[`${PREFIX}${mode}-version`] !== undefined),
  );
  const said = set.map((mode) => `${mode}=${text(policy[mode])}`).join(", ");
  return [`namespace "${name}" is exempt from Pod Security, and the policy (${said}) will be ignored`];
}

/** One pod of each controller first; those whose runtime class is exempt left out. */
function inOrder(pods: readonly Pod[], { exemptions }: Config): PodLike[] {
  const first: PodLike[] = [];
  const more: PodLike[] = [];
  const seen = new Set<string>();
  for (const { metadata, spec } of pods) {
    if (!spec || (spec.runtimeClassName && exemptions?.runtimeClasses?.includes(spec.runtimeClassName))) continue;
    const controller = metadata.ownerReferences?.find((owner) => owner.controller)?.uid;
    (controller !== undefined && seen.has(controller) ? more : first).push({ metadata, spec });
    if (controller !== undefined) seen.add(controller);
  }
  return [...first, ...more];
}

function podWarnings(namespace: string, enforce: LevelVersion, pods: readonly PodLike[]): string[] {
  const checked = pods.slice(0, PODS_CHECKED_MAX);
  const byReason = new Map<string, string[]>();
  for (const pod of checked) {
    const found = findings(enforce, pod);
    if (found.length === 0) continue;
    const reason = reasonText(found);
    byReason.set(reason, [...(byReason.get(reason) ?? []), pod.metadata?.name ?? ""]);
  }
  const warnings: string[] = [];
  if (checked.length < pods.length) {
    const count = `${checked.length} of ${pods.length}`;
    warnings.push(`new PodSecurity enforce level only checked against the first ${count} existing pods`);
  }
  if (byReason.size > 0) {
    const level = `the new PodSecurity enforce level "${text(enforce)}"`;
    warnings.push(`existing pods in namespace "${namespace}" violate ${level}`);
  }
  const lines = [...byReason].map(([reason, names]) => {
    const [name = ""] = names.sort();
    const others = names.length - 1;
    const more = others === 0 ? "" : ` (and ${others} other ${others === 1 ? "pod" : "pods"})`;
    return `${name}${more}: ${reason}`;
  });
  return [...warnings, ...lines.sort()];
}
