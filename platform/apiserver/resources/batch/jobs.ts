/** Validation of Jobs and of what of them may change (ValidateJob, ValidateJobUpdate). */
import type { Job, JobSpec, PodSpec, PodTemplateSpec } from "#sdk/api/generated/types.ts";
import { selectsLabels, validateLabelSelector } from "#sdk/api/labels.ts";
import { isDNS1123Label } from "#sdk/api/names.ts";
import { type Causes, invalidValue, required } from "../../registry/causes.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import { fixedSelector, shownSelector } from "../apps/workloads.ts";
import { sorted } from "../as.ts";
import { immutable, same } from "../checks.ts";
import { SUCCESS_POLICY, validateJobSpec } from "./validation.ts";

/** The server's own labels of a job's pods: with its domain, and as they were before. */
export const UID_LABELS = ["controller-uid", "batch.kubernetes.io/controller-uid"] as const;
export const NAME_LABELS = ["job-name", "batch.kubernetes.io/job-name"] as const;

/** Labels that a job's pods must have, by the generation of jobs that it belongs to. */
function ownLabels(job: Job, prefixed: boolean): Record<string, string> {
  const { uid = "", name = "" } = job.metadata ?? {};
  const of = (labels: readonly string[], value: string) => labels.slice(0, prefixed ? 2 : 1).map((l) => [l, value]);
  return Object.fromEntries([...of(UID_LABELS, uid), ...of(NAME_LABELS, name)]);
}

function validateGenerated(job: Job, prefixed: boolean): Causes {
  const { spec } = job;
  if (spec?.manualSelector || !spec?.selector) return [];
  const own = ownLabels(job, prefixed);
  const labels = spec.template?.metadata?.labels ?? {};
  const at = "spec.template.metadata.labels";
  const causes = Object.entries(own).flatMap(([label, value]) => {
    const has = Object.hasOwn(labels, label) ? labels[label] : undefined;
    if (has === undefined) return [required(`${at}[${label}]`, `must be '${value}'`)];
    return has === value ? [] : [invalidValue(`${at}[${label}]`, sorted(labels), `must be '${value}'`)];
  });
  const wrong = validateLabelSelector(spec.selector, "").length > 0;
  if (!wrong && !selectsLabels(spec.selector, own))
    causes.push(invalidValue("spec.selector", shownSelector(spec.selector), "`selector` not auto-generated"));
  return causes;
}

/** The spec with its selector. `anyValues`: the selector had values that no label can have before. */
function validateSelected(spec: JobSpec, old: PodTemplateSpec | undefined, anyValues: boolean): Causes {
  const { selector } = spec;
  const causes = validateJobSpec(spec, "spec", old);
  if (selector) causes.push(...validateLabelSelector(selector, "spec.selector", anyValues));
  else causes.push(required("spec.selector"));
  const usable = validateLabelSelector(selector, "").length === 0;
  const labels = spec.template?.metadata?.labels;
  if (usable && !selectsLabels(selector, labels))
    causes.push(
      invalidValue(
        "spec.template.metadata.labels",
        sorted(labels ?? null),
        "`selector` does not match template `labels`",
      ),
    );
  return causes;
}

const EMPTY = { template: {} } as JobSpec;

export function validateJob(job: Job, before?: Job): Causes {
  const spec = job.spec ?? EMPTY;
  const old = before?.spec;
  const oldLabels = old?.template?.metadata?.labels ?? {};
  const prefixed = !before || [UID_LABELS[1], NAME_LABELS[1]].every((label) => oldLabels[label] !== undefined);
  const anyValues = old !== undefined && validateLabelSelector(old.selector, "").length > 0;
  const causes = [...validateGenerated(job, prefixed), ...validateSelected(spec, old?.template, anyValues)];
  const { name = "" } = job.metadata ?? {};
  if (spec.completionMode !== "Indexed" || (spec.completions ?? 0) <= 0) return causes;
  const hostname = `${name}-${(spec.completions ?? 0) - 1}`;
  if (isDNS1123Label(hostname).length > 0)
    causes.push(invalidValue("metadata.name", name, `will not able to create pod with invalid DNS label: ${hostname}`));
  return causes;
}

/** A job that has not begun, or has stopped, can be sent elsewhere and given other amounts. */
function isStill({ spec, status }: Job): boolean {
  const suspended = (status?.conditions ?? []).some((c) => c.type === "Suspended" && c.status === "True");
  return Boolean(spec?.suspend) && (!status?.startTime || suspended) && !status?.active;
}

/** The old template with what may change of a still job taken from the new one. */
function withDirections(old: PodTemplateSpec, next: PodTemplateSpec): PodTemplateSpec {
  const spec: PodSpec = structuredClone(old.spec ?? { containers: [] });
  const wanted = next.spec?.affinity?.nodeAffinity;
  if (spec.affinity || next.spec?.affinity) {
    spec.affinity = { ...spec.affinity, nodeAffinity: wanted };
    if (!next.spec?.affinity && !spec.affinity.podAffinity && !spec.affinity.podAntiAffinity) delete spec.affinity;
  }
  spec.nodeSelector = next.spec?.nodeSelector;
  spec.tolerations = next.spec?.tolerations;
  spec.schedulingGates = next.spec?.schedulingGates;
  const metadata = { ...old.metadata, annotations: next.metadata?.annotations, labels: next.metadata?.labels };
  return { ...old, metadata, spec };
}

/** The old spec with the amounts of the new one's containers, where these are the same. */
function withAmounts(old: PodSpec, next: PodSpec): PodSpec {
  const copy = structuredClone(old);
  for (const list of ["containers", "initContainers"] as const) {
    const [mine, theirs] = [copy[list] ?? [], next[list] ?? []];
    if (mine.length !== theirs.length) continue;
    for (const [i, container] of mine.entries())
      if (container.name === theirs[i]?.name) container.resources = theirs[i]?.resources;
  }
  return copy;
}

function validateTemplateUpdate(next: JobSpec, before: Job): Causes {
  const old = before.spec?.template ?? {};
  const template = next.template ?? {};
  const still = isStill(before);
  const allowed = still ? withDirections(old, template) : old;
  if (!still) return immutable("spec.template", template, allowed);
  const spec = template.spec ?? { containers: [] };
  return immutable("spec.template.spec", spec, withAmounts(allowed.spec ?? { containers: [] }, spec));
}

/** Indexed jobs may be scaled: both numbers together. */
function validateCompletions(next: JobSpec, old: JobSpec): Causes {
  const at = "spec.completions";
  if (next.completionMode !== "Indexed") return immutable(at, next.completions, old.completions);
  const changed = next.completions !== undefined && !same(next.completions, old.completions);
  return changed && next.completions !== next.parallelism
    ? [invalidValue(at, next.completions, "can only be modified in tandem with spec.parallelism")]
    : [];
}

const FIXED = ["completionMode", "backoffLimitPerIndex", "managedBy"] as const;

/** The policy as Go prints it. */
const FAILURE_POLICY: readonly GoField[] = [
  {
    go: "Rules",
    json: "rules",
    of: [
      { go: "Action", json: "action", zero: "" },
      {
        go: "OnExitCodes",
        json: "onExitCodes",
        of: [
          { go: "ContainerName", json: "containerName" },
          { go: "Operator", json: "operator", zero: "" },
          { go: "Values", json: "values" },
        ],
      },
      {
        go: "OnPodConditions",
        json: "onPodConditions",
        of: [
          { go: "Type", json: "type", zero: "" },
          { go: "Status", json: "status", zero: "" },
        ],
      },
    ],
  },
];

/** Upstream looks at the whole job, then at the spec once more and at what changed of it. */
export function validateJobUpdate(job: Job, before: Job): Causes {
  const [spec, old] = [job.spec ?? EMPTY, before.spec ?? EMPTY];
  const anyValues = validateLabelSelector(old.selector, "").length > 0;
  const failure = (of: JobSpec) => of.podFailurePolicy && goValue(of.podFailurePolicy, FAILURE_POLICY);
  const success = (of: JobSpec) => of.successPolicy && goValue(of.successPolicy, SUCCESS_POLICY);
  return [
    ...validateJob(job, before),
    ...validateSelected(spec, old.template, anyValues),
    ...validateCompletions(spec, old),
    ...fixedSelector(spec.selector, old.selector),
    ...validateTemplateUpdate(spec, before),
    ...immutable("spec.podFailurePolicy", failure(spec), failure(old)),
    ...immutable("spec.successPolicy", success(spec), success(old)),
    ...FIXED.flatMap((field) => immutable(`spec.${field}`, spec[field], old[field])),
  ];
}
