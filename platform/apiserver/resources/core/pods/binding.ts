/** pods/NAME/binding: puts a pod on a node, once (pkg/registry/core/pod/storage). */
import { timeText } from "#platform/base/clock.ts";
import type { Binding, Pod } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { conflict, invalid } from "#sdk/api/status.ts";
import { notSupported, required } from "../../../registry/causes.ts";
import type { ActionRequest, ActionStrategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";

const PODS_BINDING = { group: "", resource: "pods/binding" };

function assign(pod: Pod, binding: Binding, node: string, now: number): void {
  const { name = "", deletionTimestamp } = pod.metadata;
  if (!pod.spec) return;
  if (pod.spec.nodeName)
    throw conflict(PODS_BINDING, name, `pod ${name} is already assigned to node "${pod.spec.nodeName}"`);
  if (deletionTimestamp)
    throw conflict(PODS_BINDING, name, `pod ${name} is being deleted, cannot be assigned to a host`);
  if (pod.spec.schedulingGates?.length)
    throw conflict(PODS_BINDING, name, `pod ${name} has non-empty .spec.schedulingGates`);
  pod.spec.nodeName = node;
  const { annotations, labels } = binding.metadata;
  if (labels) pod.metadata.labels = { ...pod.metadata.labels, ...labels };
  if (annotations) pod.metadata.annotations = { ...pod.metadata.annotations, ...annotations };
  pod.status ??= {};
  const { status } = pod;
  delete status.nominatedNodeName;
  const others = (status.conditions ?? []).filter((c) => c.type !== "PodScheduled");
  status.conditions = [...others, { type: "PodScheduled", status: "True", lastTransitionTime: timeText(now) }];
}

/** Shared by pods/NAME/binding and the older bindings resource. */
export async function bind(request: ActionRequest, name: string, binding: Binding): Promise<DynamicObject> {
  const kind = { group: "", kind: "Binding" };
  const { target } = binding;
  if (!target?.name) throw invalid(kind, name, [required("target.name")]);
  if (target.kind && target.kind !== "Node")
    throw invalid(kind, name, [notSupported("target.kind", target.kind, ["Node", "<empty>"])]);
  const { uid } = binding.metadata;
  await request.registry.modify(request.context, {
    group: "",
    resource: "pods",
    namespace: request.namespace,
    name,
    subresource: "",
    raw: true,
    dryRun: request.dryRun,
    fieldManager: request.fieldManager,
    change(object) {
      const pod = as<Pod>(object);
      if (uid && uid !== pod.metadata.uid) {
        throw conflict(
          PODS_BINDING,
          name,
          `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${pod.metadata.uid}`,
        );
      }
      assign(pod, binding, target.name ?? "", request.context.now);
    },
  });
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 };
}

export const bindingAction: ActionStrategy = {
  code: 201,
  handle: (request) => bind(request, request.name, as<Binding>(request.body ?? { metadata: {} })),
};
