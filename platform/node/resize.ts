/**
 * Resources that change while a pod runs (kubelet/allocation, kuberuntime's pod resize). What a pod asks for is allocated when the
 * node has room for it, and only then given to the kernel; until then the pod runs with what it was allocated before.
 */
import { messageOf } from "#platform/base/log.ts";
import type { Container, PodCondition, ResourceRequirements } from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityMilliValue } from "#sdk/api/quantity.ts";
import { containerResources } from "./cgroups.ts";
import type { NodeContext, NodePod } from "./context.ts";
import type { Observation, ObservedContainer } from "./observe.ts";

export interface Refusal {
  /** No other pod's end would make room. */
  forEver: boolean;
  message: string;
}

export interface Resizer {
  /** The pod as it is to run: with the resources it was allocated. Keeps what it asks for, for the next step. */
  allocated(pod: NodePod): NodePod;
  /** Allocates what is asked for when it fits; answers the pod as it is to run from now on. */
  allocate(pod: NodePod, seen: Observation): NodePod;
  /** Gives running containers what was allocated. Answers those that must start anew to get theirs. */
  actuate(pod: NodePod, seen: Observation): Promise<ObservedContainer[]>;
  /** What a container has; for one that does not run, what it will have. */
  resources(name: string, id: string | undefined): ContainerResources;
  /** PodResizePending and PodResizeInProgress, where they hold; times are the status's. */
  conditions(): Pick<PodCondition, "type" | "status" | "reason" | "message">[];
}

export interface ContainerResources {
  allocated: ResourceRequirements;
  actual: ResourceRequirements;
}

type Resources = Map<string, ResourceRequirements>;

const RESIZED = ["cpu", "memory"] as const;
const SIDES = ["requests", "limits"] as const;

const milli = (of: ResourceRequirements | undefined, side: "requests" | "limits", name: string): number => {
  const value = of?.[side]?.[name];
  return value === undefined ? 0 : quantityMilliValue(parseQuantity(value));
};

const changed = (a: ResourceRequirements | undefined, b: ResourceRequirements | undefined, name: string): boolean =>
  SIDES.some((side) => milli(a, side, name) !== milli(b, side, name));
const differ = (a: ResourceRequirements | undefined, b: ResourceRequirements | undefined): boolean =>
  RESIZED.some((name) => changed(a, b, name));

const runningOf = (seen: Observation): ObservedContainer[] =>
  seen.containers.filter((one) => one.state === "CONTAINER_RUNNING");
const specs = (pod: NodePod): Container[] => [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
const asked = (pod: NodePod): Resources => new Map(specs(pod).map((one) => [one.name, one.resources ?? {}]));

function withResources(pod: NodePod, resources: Resources): NodePod {
  if (specs(pod).every((one) => !differ(one.resources, resources.get(one.name)))) return pod;
  const give = (one: Container): Container => ({ ...one, resources: resources.get(one.name) ?? one.resources ?? {} });
  const { initContainers, containers } = pod.spec;
  return {
    ...pod,
    spec: {
      ...pod.spec,
      ...(initContainers === undefined ? {} : { initContainers: initContainers.map(give) }),
      containers: containers.map(give),
    },
  };
}

/** What an agent before this one allocated, as far as the pod's status tells. */
function known(pod: NodePod): Resources {
  const resources = asked(pod);
  for (const one of [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])])
    if (one.resources !== undefined && resources.has(one.name)) resources.set(one.name, one.resources);
  return resources;
}

export function createResizer(
  context: Pick<NodeContext, "runtime" | "cgroups" | "machine">,
  fits: (pod: NodePod) => Refusal | undefined,
): Resizer {
  let wanted: NodePod | undefined;
  let allocation: Resources | undefined;
  let pending: { reason: string; message: string } | undefined;
  let failure: string | undefined;
  /** The pod's cgroup still allows what it had before. */
  let raised = false;
  const actual = new Map<string, ResourceRequirements>();

  /** Containers of which this agent has not seen the start have what their status says, or what is allocated. */
  const learn = (pod: NodePod, running: ObservedContainer[]): void => {
    const ids = new Set(running.map((one) => one.id));
    for (const id of actual.keys()) if (!ids.has(id)) actual.delete(id);
    for (const one of running)
      if (!actual.has(one.id)) actual.set(one.id, allocation?.get(one.name) ?? asked(pod).get(one.name) ?? {});
  };

  const restarts = (container: Container, from: ResourceRequirements | undefined): boolean =>
    RESIZED.some(
      (name) =>
        changed(from, container.resources, name) &&
        container.resizePolicy?.some((one) => one.resourceName === name && one.restartPolicy === "RestartContainer"),
    );

  return {
    allocated(pod) {
      wanted = pod;
      allocation ??= known(pod);
      return withResources(pod, allocation);
    },

    allocate(pod, seen) {
      learn(pod, runningOf(seen));
      const before = allocation ?? asked(pod);
      const next = asked(wanted ?? pod);
      pending = undefined;
      if ([...next].every(([name, resources]) => !differ(resources, before.get(name)))) return pod;
      const resized = withResources(pod, next);
      const refusal = fits(resized);
      if (refusal !== undefined) {
        pending = { reason: refusal.forEver ? "Infeasible" : "Deferred", message: refusal.message };
        return pod;
      }
      allocation = next;
      return resized;
    },

    async actuate(pod, seen) {
      const running = runningOf(seen);
      const restart: ObservedContainer[] = [];
      const late = running.flatMap((one) => {
        const container = specs(pod).find((spec) => spec.name === one.name);
        return container !== undefined && differ(actual.get(one.id), container.resources) ? [{ one, container }] : [];
      });
      if (late.length === 0 && !raised) return restart;
      try {
        // The pod's cgroup holds its containers': it is raised before they are, and lowered after.
        const before = new Map(running.map((one) => [one.name, actual.get(one.id) ?? {}]));
        if (late.length > 0) context.cgroups.resize(pod, withResources(pod, before));
        raised = true;
        for (const { one, container } of late) {
          if (restarts(container, actual.get(one.id))) {
            restart.push(one);
            continue;
          }
          const { oomScoreAdj: _, ...resources } = containerResources(pod, container, context.machine.memoryBytes);
          await context.runtime.updateContainerResources(one.id, resources);
          actual.set(one.id, container.resources ?? {});
        }
        if (restart.length === 0) {
          context.cgroups.resize(pod);
          raised = false;
        }
        failure = undefined;
      } catch (error) {
        failure = messageOf(error);
      }
      return restart;
    },

    resources(name, id) {
      const allocated = allocation?.get(name) ?? {};
      return { allocated, actual: (id === undefined ? undefined : actual.get(id)) ?? allocated };
    },

    conditions() {
      return [
        ...(pending === undefined ? [] : [{ type: "PodResizePending", status: "True", ...pending }]),
        ...(failure === undefined
          ? []
          : [{ type: "PodResizeInProgress", status: "True", reason: "Error", message: failure }]),
      ];
    },
  };
}
