/** What of a pod may change (ValidatePodUpdate). */
import type { NodeAffinity, Pod, PodSpec, Toleration } from "#sdk/api/generated/types.ts";
import { type Causes, forbiddenField, invalidValue } from "../../../registry/causes.ts";
import { type GoField, goValue } from "../../../registry/go-names.ts";
import { same } from "../../checks.ts";
import { hasWrongCost, validateFixedAnnotations, validatePodAnnotations } from "./annotations.ts";
import { validatePod, validateTolerations } from "./validation.ts";

const IMMUTABLE =
  "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const DEADLINE_MAX = 2 ** 31 - 1;
const LISTS = ["containers", "initContainers"] as const;

const REQUIREMENT: readonly GoField[] = [
  { go: "Key", json: "key", zero: "" },
  { go: "Operator", json: "operator", zero: "" },
  { go: "Values", json: "values" },
];
const TERM: readonly GoField[] = [
  { go: "MatchExpressions", json: "matchExpressions", of: REQUIREMENT },
  { go: "MatchFields", json: "matchFields", of: REQUIREMENT },
];

/** Images are told of a second time, with those of containers that came or went. Undefined: the rest cannot be compared. */
function validateContainers(next: PodSpec, old: PodSpec): { causes: Causes; comparable: boolean } {
  const causes: Causes = [];
  for (const list of LISTS) {
    const containers = next[list] ?? [];
    if (containers.length !== (old[list] ?? []).length) {
      causes.push(forbiddenField(`spec.${list}`, "pod updates may not add or remove containers"));
      return { causes, comparable: false };
    }
    for (const [i, { image = "" }] of containers.entries()) {
      const field = `spec.${list}[${i}].image`;
      if (image === "") causes.push({ reason: "FieldValueRequired", message: "Required value", field });
      if (image !== image.trim())
        causes.push(invalidValue(field, image, "must not have leading or trailing whitespace"));
    }
  }
  return { causes, comparable: true };
}

/** A pod may be given less time, and never more. */
function validateDeadline({ activeDeadlineSeconds: next }: PodSpec, { activeDeadlineSeconds: old }: PodSpec) {
  const at = "spec.activeDeadlineSeconds";
  if (next === undefined) {
    const lost =
      old === undefined ? [] : [invalidValue(at, null, "must not update from a positive integer to nil value")];
    return { causes: lost, comparable: true };
  }
  if (next < 0 || next > DEADLINE_MAX)
    return { causes: [invalidValue(at, next, `must be between 0 and ${DEADLINE_MAX}, inclusive`)], comparable: false };
  if (old !== undefined && old < next)
    return { causes: [invalidValue(at, next, "must be less than or equal to previous value")], comparable: false };
  return { causes: [], comparable: true };
}

/** Tolerations are only added (the seconds of one may change), gates only lifted. */
function validateAdditions(next: PodSpec, old: PodSpec): Causes {
  const bare = ({ tolerationSeconds: _, ...rest }: Toleration) => rest;
  const tolerations = next.tolerations ?? [];
  const kept = (old.tolerations ?? []).every((t) => tolerations.some((n) => same(bare(n), bare(t))));
  const detail = "existing toleration can not be modified except its tolerationSeconds";
  const at = "spec.tolerations";
  const gates = new Set((old.schedulingGates ?? []).map((g) => g.name));
  const added = new Map((next.schedulingGates ?? []).map(({ name }, i) => [name, i]));
  return [
    ...(kept ? validateTolerations(tolerations, at) : [forbiddenField(at, detail)]),
    ...[...added].flatMap(([name, i]) =>
      gates.has(name)
        ? []
        : [
            forbiddenField(
              `spec.schedulingGates[${i}].name`,
              `only deletion is allowed, but found new scheduling gate '${name}'`,
            ),
          ],
    ),
  ];
}

type Term = NonNullable<
  NonNullable<NodeAffinity["requiredDuringSchedulingIgnoredDuringExecution"]>["nodeSelectorTerms"]
>[number];

/** What is asked of a node besides what was asked before. */
function isNarrowed(next: Term, old: Term): boolean {
  const lists = ["matchExpressions", "matchFields"] as const;
  const empty = lists.every((list) => !old[list]?.length);
  if (empty) return lists.every((list) => !next[list]?.length);
  return lists.every((list) => same((next[list] ?? []).slice(0, old[list]?.length ?? 0), old[list] ?? []));
}

function validateAffinity(next: NodeAffinity | undefined, old: NodeAffinity | undefined): Causes {
  const before = old?.requiredDuringSchedulingIgnoredDuringExecution;
  if (!before) return [];
  const at = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
  const oldTerms = before.nodeSelectorTerms ?? [];
  const terms = next?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  if (oldTerms.length > 0 && oldTerms.length !== terms.length) {
    const shown = terms.length === 0 ? null : goValue(terms, TERM);
    return [invalidValue(at, shown, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")];
  }
  return oldTerms.flatMap((term, i) => {
    const now = terms[i];
    if (!now || isNarrowed(now, term)) return [];
    const detail = "only additions are allowed (no mutations or deletions)";
    return [invalidValue(`${at}[${i}]`, goValue(now, TERM), detail)];
  });
}

/** While a gate holds, where the pod may go can be narrowed (KEP-3838): what is wrong with that, and the rest of the spec. */
function narrowed(next: PodSpec, old: PodSpec): { causes: Causes; rest: PodSpec } {
  const rest = structuredClone(next);
  if (!old.schedulingGates?.length) return { causes: [], rest };
  const lost = Object.entries(old.nodeSelector ?? {}).some(([k, v]) => next.nodeSelector?.[k] !== v);
  const detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
  const causes = lost ? [invalidValue("spec.nodeSelector", next.nodeSelector ?? null, detail)] : [];
  rest.nodeSelector = old.nodeSelector;
  const [after, before] = [next.affinity?.nodeAffinity, old.affinity?.nodeAffinity];
  if (same(after, before)) return { causes, rest };
  causes.push(...validateAffinity(after, before));
  const onlyNode = !old.affinity && !rest.affinity?.podAffinity && !rest.affinity?.podAntiAffinity;
  if (onlyNode) delete rest.affinity;
  else rest.affinity = { ...rest.affinity, nodeAffinity: before };
  return { causes, rest };
}

/** A new spec with everything that may change set back to the old: what is left different may not change. */
function validateRest(next: PodSpec, old: PodSpec): Causes {
  const { causes, rest } = narrowed(next, old);
  for (const list of LISTS)
    for (const [i, container] of (rest[list] ?? []).entries()) container.image = old[list]?.[i]?.image;
  rest.activeDeadlineSeconds = old.activeDeadlineSeconds;
  rest.tolerations = old.tolerations;
  rest.schedulingGates = old.schedulingGates;
  if ((old.terminationGracePeriodSeconds ?? 0) < 0 && next.terminationGracePeriodSeconds === 1)
    rest.terminationGracePeriodSeconds = old.terminationGracePeriodSeconds;
  return same(rest, old) ? causes : [...causes, forbiddenField("spec", IMMUTABLE)];
}

export function validatePodUpdate(pod: Pod, before: Pod): Causes {
  const next = pod.spec ?? { containers: [] };
  const old = before.spec ?? { containers: [] };
  const annotations = pod.metadata?.annotations;
  const costs = hasWrongCost(before.metadata?.annotations);
  const causes = [
    ...validatePod(pod, before),
    ...validateFixedAnnotations(annotations, before.metadata?.annotations, "metadata.annotations"),
    ...validatePodAnnotations(annotations, next, "metadata.annotations", costs),
  ];
  for (const check of [validateContainers, validateDeadline]) {
    const { causes: found, comparable } = check(next, old);
    causes.push(...found);
    if (!comparable) return causes;
  }
  causes.push(...validateAdditions(next, old));
  return same(next, old) ? causes : [...causes, ...validateRest(next, old)];
}
