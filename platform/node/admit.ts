/** Whether the node takes a pod (kubernetes/pkg/kubelet/lifecycle/predicate.go). */
import { isExtendedResource } from "#platform/rules/extended-resources.ts";
import type { NodeStatus } from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityValue } from "#sdk/api/quantity.ts";
import { cpuMilli, memoryBytes, podRequest } from "./cgroups.ts";
import { withoutClaimed } from "./claims/resources.ts";
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
  // Extended resources that the node does not say are the cluster's, and nothing of the node's (removeMissingExtendedResources).
  for (const name of Object.keys(allocatable).filter(isExtendedResource)) {
    const requested = podRequest(unclaimed(pod), countOf(name));
    const used = others.reduce((sum, one) => sum + podRequest(unclaimed(one.pod()), countOf(name)), 0);
    const capacity = quantityValue(parseQuantity(allocatable[name] ?? "0"));
    if (requested > 0 && requested + used > capacity)
      return {
        reason: `OutOf${name}`,
        message: `Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
      };
  }
  const most = Number(allocatable["pods"] ?? 0);
  if (others.length + 1 > most)
    return {
      reason: "OutOfpods",
      message: `Node didn't have enough resource: pods, requested: 1, used: ${others.length}, capacity: ${most}`,
    };
  const taken = others.flatMap((one) => hostPortsOf(one.pod()));
  if (hostPortsOf(pod).some((port) => taken.some((other) => clash(port, other))))
    return { reason: "NodePorts", message: "Predicate NodePorts failed" };
  return undefined;
}

/** The pod without what it has devices of a claim for. */
function unclaimed(pod: NodePod): NodePod {
  if (pod.status?.extendedResourceClaimStatus === undefined) return pod;
  const { containers, initContainers = [] } = pod.spec;
  const own = (of: NodePod["spec"]["containers"]) => of.map((container) => withoutClaimed(pod, container));
  return { ...pod, spec: { ...pod.spec, containers: own(containers), initContainers: own(initContainers) } };
}

/** As `cpuMilli` and `memoryBytes`, for a resource that is counted. */
const countOf =
  (name: string): typeof cpuMilli =>
  ({ resources }, side) =>
    quantityValue(parseQuantity(resources?.[side]?.[name] ?? "0"));

interface HostPort {
  ip: string;
  protocol: string;
  port: number;
}

const ANY = "0.0.0.0";

/** Of containers, and of those that start before them and stay. */
function hostPortsOf({ spec }: NodePod): HostPort[] {
  const stays = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  return [...spec.containers, ...stays].flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, hostIP, protocol }) =>
      hostPort ? [{ ip: hostIP || ANY, protocol: protocol || "TCP", port: hostPort }] : [],
    ),
  );
}

const clash = (a: HostPort, b: HostPort): boolean =>
  a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === ANY || b.ip === ANY);
