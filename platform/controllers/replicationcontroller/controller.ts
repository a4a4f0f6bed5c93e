/** ReplicationControllers: ReplicaSets with an older form of selector (upstream: pkg/controller/replication). */
import type { LabelSelector, ReplicationController } from "#sdk/api/generated/types.ts";
import { replicaController } from "../replicaset/controller.ts";
import { REPLICATION_CONTROLLERS } from "../resources.ts";

/** An empty selector finds nothing, unlike an empty LabelSelector. */
const selectorOf = (labels: Record<string, string> | undefined): LabelSelector | undefined =>
  labels && Object.keys(labels).length > 0 ? { matchLabels: labels } : undefined;

export const replicationController = replicaController<ReplicationController>({
  kind: "ReplicationController",
  name: "replicationcontroller",
  component: "replication-controller",
  resource: REPLICATION_CONTROLLERS,
  informer: (informers) => informers.replicationControllers(),
  selector: (rc) => selectorOf(rc.spec?.selector),
  status: ({ terminatingReplicas: _, ...status }) => status,
});
