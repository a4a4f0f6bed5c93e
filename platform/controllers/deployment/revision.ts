/** Which ReplicaSet is a Deployment's new one, and the revisions that `kubectl rollout history` and `undo` read: pure. */
import { createHash } from "node:crypto";
import type { Deployment, PodTemplateSpec, ReplicaSet } from "#sdk/api/generated/types.ts";
import { DRAIN } from "../drain/reconcile.ts";
import { controllerRef, sameJson } from "../objects.ts";
import { DESIRED_REPLICAS, MAX_REPLICAS, REVISION, REVISION_HISTORY, TEMPLATE_HASH } from "./annotations.ts";
import { byAge, desired, maxSurge } from "./replicas.ts";
import { PREFIX } from "./steps/plan.ts";

const HISTORY_LENGTH_MAX = 2000;
const NAME_LENGTH_MAX = 253;
const NOT_COPIED = new Set([
  "kubectl.kubernetes.io/last-applied-configuration",
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  "deprecated.deployment.rollback.to",
]);

/** Upstream's alphabet for generated names: no vowels, so no words. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

/** Ten characters that depend on the template and the number of collisions, whatever the order of its keys. */
export function templateHash(template: PodTemplateSpec | undefined, collisions: number | undefined): string {
  const digest = createHash("sha256")
    .update(canonical(template ?? {}))
    .update(String(collisions ?? ""))
    .digest();
  return Array.from(digest.subarray(0, 10), (byte) => ALPHABET[byte % ALPHABET.length]).join("");
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`).join()}}`;
}

const withoutHash = (template: PodTemplateSpec | undefined): PodTemplateSpec => {
  const { [TEMPLATE_HASH]: _, ...labels } = template?.metadata?.labels ?? {};
  return { ...template, metadata: { ...template?.metadata, labels, creationTimestamp: undefined } };
};

export const sameTemplate = (a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean =>
  sameJson(withoutHash(a), withoutHash(b));

/** The oldest one with the Deployment's template: deterministic where several have it. */
export const findNew = (d: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined =>
  sets.toSorted(byAge).find((rs) => sameTemplate(rs.spec?.template, d.spec?.template));

/** Upstream's are 64 bits wide: anybody may write a large one. */
const REVISION_MAX = 2n ** 63n - 1n;

const revisionIn = (text: string | undefined): bigint => {
  const revision = /^\d{1,19}$/.test(text ?? "") ? BigInt(text ?? "") : 0n;
  return revision > REVISION_MAX ? 0n : revision;
};

export const revisionOf = (object: { metadata: { annotations?: Record<string, string> } }): bigint =>
  revisionIn(object.metadata.annotations?.[REVISION]);
export const maxRevision = (sets: readonly ReplicaSet[]): bigint =>
  sets.map(revisionOf).toSorted((a, b) => (a < b ? 1 : -1))[0] ?? 0n;

/** Annotations of the new ReplicaSet: the Deployment's own, and its revision; a rollback keeps the revisions it had. */
export function newSetAnnotations(
  d: Deployment,
  present: Record<string, string> | undefined,
  revision: bigint,
): Record<string, string> {
  const annotations = { ...present };
  for (const [name, value] of Object.entries(d.metadata.annotations ?? {})) {
    if (!NOT_COPIED.has(name) && (!name.startsWith(PREFIX) || name === DRAIN)) annotations[name] = value;
  }
  const before = present?.[REVISION];
  if (revisionIn(before) >= revision) return annotations;
  annotations[REVISION] = String(revision);
  if (before === undefined) return annotations;
  let history = [...(present?.[REVISION_HISTORY]?.split(",") ?? []), before].filter((r) => r !== "");
  while (history.join(",").length > HISTORY_LENGTH_MAX) history = history.slice(1);
  annotations[REVISION_HISTORY] = history.join(",");
  return annotations;
}

/** What a ReplicaSet remembers of the Deployment's size: a difference means that the Deployment was scaled. */
export const sizeAnnotations = (d: Deployment): Record<string, string> => ({
  [DESIRED_REPLICAS]: String(desired(d)),
  [MAX_REPLICAS]: String(desired(d) + maxSurge(d)),
});

/** Its name follows from template and collisions, so that making it twice is harmless. */
export function newReplicaSet(d: Deployment, replicas: number, revision: bigint): ReplicaSet {
  const hash = templateHash(d.spec?.template, d.status?.collisionCount);
  const template = d.spec?.template ?? {};
  const labels = { ...template.metadata?.labels, [TEMPLATE_HASH]: hash };
  const name = (d.metadata.name ?? "").slice(0, NAME_LENGTH_MAX - hash.length - 1);
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name: `${name}-${hash}`,
      namespace: d.metadata.namespace,
      labels,
      annotations: { ...newSetAnnotations(d, undefined, revision), ...sizeAnnotations(d) },
      ownerReferences: [controllerRef(d)],
    },
    spec: {
      replicas,
      minReadySeconds: d.spec?.minReadySeconds,
      selector: {
        ...d.spec?.selector,
        matchLabels: { ...d.spec?.selector?.matchLabels, [TEMPLATE_HASH]: hash },
      },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}
