/** Whether the node takes a pod (kubernetes/pkg/kubelet/lifecycle/predicate.go). */
import type { NodeStatus } from "#sdk/api/generated/types.ts";
import { cpuMilli, memoryBytes, podRequest } from "./cgroups.ts";
import type { NodePod } from "./context.ts";
import type { PodWorker } from "./worker.ts";

/** Does the pod fit beside those that are here already? */
export function admit(
  pod: NodePod,
  status: NodeStatus | undefined,
  workers: PodWorker[],
): { reason: string; message: string } | undefined {
  const others = workers.filter(
    (one) => one.uid !== pod.metadata.uid && (one.state() === "running" || one.state() === "terminating"),
  );
  const allocatable = status?.allocatable ?? {};
  const capacity = (name: string, of: typeof cpuMilli) =>
    of({ name: "", resources: { requests: { [name]: String(allocatable[name] ?? "0") } } }, "requests");
  for (const [name, of] of [
    ["cpu", cpuMilli],
    ["memory", memoryBytes],
  ] as const) {
    const requested = podRequest(pod, of);
    const used = others.reduce((sum, one) => sum + podRequest(one.pod(), of), 0);
    if (requested > 0 && requested + used > capacity(name, of))
      return {
        reason: `OutOf${name}`,
        message: `Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity(name, of)}`,
      };
  }
  const most = Number(allocatable["pods"] ?? 0);
  if (others.length + 1 > most)
    return {
      reason: "OutOfpods",
      message: `Node didn't have enough resource: pods, requested: 1, used: ${others.length}, capacity: ${most}`,
    };
  return undefined;
}
