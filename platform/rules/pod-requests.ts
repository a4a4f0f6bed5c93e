/** What a pod asks of its node (upstream: k8s.io/component-helpers/resource, PodRequests). */
import type { Container, PodSpec } from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityMilliValue, quantityValue } from "#sdk/api/quantity.ts";

/** cpu in millicores, everything else in bytes or counts. */
export type ResourceAmounts = Record<string, number>;

/** What a container that asks for nothing counts as where pods are spread by use. */
const NONZERO_CPU_MILLI = 100;
const NONZERO_MEMORY = 200 * 1024 * 1024;

/** Amounts of a resource list. Throws Error for what is no quantity. */
export function resourceAmounts(list: Readonly<Record<string, string | number>> | undefined): ResourceAmounts {
  const amounts: ResourceAmounts = {};
  for (const [name, text] of Object.entries(list ?? {})) {
    const quantity = parseQuantity(text);
    amounts[name] = name === "cpu" ? quantityMilliValue(quantity) : quantityValue(quantity);
  }
  return amounts;
}

const add = (a: ResourceAmounts, b: ResourceAmounts): ResourceAmounts => combine(a, b, (x, y) => x + y);
const max = (a: ResourceAmounts, b: ResourceAmounts): ResourceAmounts => combine(a, b, Math.max);

function combine(a: ResourceAmounts, b: ResourceAmounts, by: (x: number, y: number) => number): ResourceAmounts {
  const result = { ...a };
  for (const [name, amount] of Object.entries(b)) result[name] = by(result[name] ?? 0, amount);
  return result;
}

const isSidecar = (container: Container): boolean => container.restartPolicy === "Always";

/**
 * Containers and sidecars together, or the most that any moment of the initialization needs; then the overhead. Requests of
 * the pod as a whole, where it has them, stand instead of its containers' sum.
 */
export function podRequests(spec: PodSpec | undefined): ResourceAmounts {
  return requestsBy(spec, (container) => resourceAmounts(container.resources?.requests));
}

/** As podRequests, but a container that asks for no cpu or memory counts a little of it. */
export function podNonzeroRequests(spec: PodSpec | undefined): { cpuMilli: number; memory: number } {
  const amounts = requestsBy(spec, (container) => {
    const { cpu = NONZERO_CPU_MILLI, memory = NONZERO_MEMORY } = resourceAmounts(container.resources?.requests);
    return { cpu, memory };
  });
  return { cpuMilli: amounts["cpu"] ?? 0, memory: amounts["memory"] ?? 0 };
}

function requestsBy(spec: PodSpec | undefined, of: (container: Container) => ResourceAmounts): ResourceAmounts {
  let running: ResourceAmounts = {};
  for (const container of spec?.containers ?? []) running = add(running, of(container));
  let sidecars: ResourceAmounts = {};
  let starting: ResourceAmounts = {};
  for (const container of spec?.initContainers ?? []) {
    if (isSidecar(container)) sidecars = add(sidecars, of(container));
    starting = max(starting, isSidecar(container) ? sidecars : add(sidecars, of(container)));
  }
  const containers = max(add(running, sidecars), starting);
  return add({ ...containers, ...resourceAmounts(spec?.resources?.requests) }, resourceAmounts(spec?.overhead));
}
