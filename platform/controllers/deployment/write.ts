/** A rollout as it was last written, and what is written of it. */
import { timeText } from "#platform/base/clock.ts";
import type { Deployment, DeploymentCondition, DeploymentStatus, Pod, ReplicaSet } from "#sdk/api/generated/types.ts";
import type { Client } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import type { MetricsSource } from "../horizontal-pod-autoscaler/metrics.ts";
import { sameJson, withCondition } from "../objects.ts";
import { DEPLOYMENTS, REPLICA_SETS } from "../resources.ts";
import { REVISION } from "./annotations.ts";
import { desired } from "./replicas.ts";
import { findNew, revisionOf, sizeAnnotations } from "./revision.ts";

export interface Rollout {
  client: Client;
  metrics: Pick<MetricsSource, "external">;
  recorder: Recorder;
  /** As last written: every write replaces it. */
  deployment: Deployment;
  /** All it controls, as last written. */
  sets: ReplicaSet[];
  /** Pods of those. */
  pods: readonly Pod[];
}

export const newOf = (r: Rollout): ReplicaSet | undefined => findNew(r.deployment, r.sets);
export const oldOf = (r: Rollout): ReplicaSet[] => {
  const uid = newOf(r)?.metadata.uid;
  return r.sets.filter((rs) => rs.metadata.uid !== uid);
};
export const active = (sets: readonly ReplicaSet[]): ReplicaSet[] => sets.filter((rs) => desired(rs) > 0);

/** True when the size changed. `always`: the size annotations are brought up to date even when the size stays. */
export async function scale(r: Rollout, rs: ReplicaSet, size: number, always = false): Promise<boolean> {
  const before = desired(rs);
  const annotations = { ...rs.metadata.annotations, ...sizeAnnotations(r.deployment) };
  if (before === size && (!always || sameJson(annotations, rs.metadata.annotations))) return false;
  await writeSet(r, { ...rs, metadata: { ...rs.metadata, annotations }, spec: { ...rs.spec!, replicas: size } });
  if (before === size) return false;
  const direction = before < size ? "up" : "down";
  const message = `Scaled ${direction} replica set ${rs.metadata.name} from ${before} to ${size}`;
  r.recorder.event(r.deployment, "Normal", "ScalingReplicaSet", message);
  return true;
}

export async function writeSet(r: Rollout, rs: ReplicaSet): Promise<void> {
  const written = await r.client.update(REPLICA_SETS, rs);
  r.sets = r.sets.map((old) => (old.metadata.uid === written.metadata.uid ? written : old));
}

export async function writeRevision(r: Rollout, revision: bigint): Promise<void> {
  if (revisionOf(r.deployment) === revision) return;
  const { namespace, name = "" } = r.deployment.metadata;
  const body = { metadata: { annotations: { [REVISION]: String(revision) } } };
  r.deployment = await r.client.patch<Deployment>(DEPLOYMENTS, { namespace, name }, { type: "merge", body });
}

export async function writeCondition(r: Rollout, next: DeploymentCondition): Promise<void> {
  const conditions = withCondition(r.deployment.status?.conditions, { ...next, lastUpdateTime: timeText(Date.now()) });
  await writeStatus(r, { ...r.deployment.status, conditions });
}

export async function writeStatus(r: Rollout, status: DeploymentStatus): Promise<void> {
  if (sameJson(r.deployment.status, status)) return;
  r.deployment = await r.client.update(DEPLOYMENTS, { ...r.deployment, status }, { subresource: "status" });
}
