/** What a pod asks for: its quality of service and the amounts it takes of its node (component-helpers' resource package). */
import type { Container, Pod, PodSpec, PodStatus } from "#sdk/api/generated/types.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";

type Amounts = Record<string, bigint>;

/** Billionths. */
function amounts(list: Record<string, string | number> | undefined): Amounts {
  const out: Amounts = {};
  for (const [name, text] of Object.entries(list ?? {})) out[name] = parseQuantity(text).nano;
  return out;
}

function add(into: Amounts, more: Amounts): void {
  for (const [name, value] of Object.entries(more)) into[name] = (into[name] ?? 0n) + value;
}

function raise(into: Amounts, to: Amounts): void {
  for (const [name, value] of Object.entries(to)) if ((into[name] ?? 0n) < value) into[name] = value;
}

const requestsOf = (container: Container): Amounts =>
  amounts(container.resources?.requests as Record<string, string> | undefined);

/** Containers together, or the largest moment of the init containers, whichever is more; restartable init containers stay. */
export function podRequests(spec: PodSpec): Amounts {
  const total: Amounts = {};
  for (const container of spec.containers ?? []) add(total, requestsOf(container));
  const sidecars: Amounts = {};
  const peak: Amounts = {};
  for (const container of spec.initContainers ?? []) {
    const moment = { ...sidecars };
    add(moment, requestsOf(container));
    if (container.restartPolicy === "Always") {
      add(total, requestsOf(container));
      add(sidecars, requestsOf(container));
    }
    raise(peak, moment);
  }
  raise(total, peak);
  const podLevel = amounts((spec as { resources?: { requests?: Record<string, string> } }).resources?.requests);
  for (const [name, value] of Object.entries(podLevel)) total[name] = value;
  add(total, amounts(spec.overhead as Record<string, string> | undefined));
  return total;
}

const MILLI = 1_000_000n;
const UNIT = 1_000_000_000n;
const ceil = (value: bigint, unit: bigint): number => Number((value + unit - 1n) / unit);

/**
 * In the ledger's units: cpu in millicores, everything else in whole units (bytes, counts); one more pod. What the pod has devices of a claim
 * for is not the node's own (KEP-5004).
 */
export function ledgerAmounts(spec: PodSpec, status?: PodStatus): Record<string, number> {
  const out: Record<string, number> = { pods: 1 };
  const mappings = status?.extendedResourceClaimStatus?.requestMappings ?? [];
  const claimed = new Set(mappings.map(({ resourceName }) => resourceName));
  for (const [name, value] of Object.entries(podRequests(spec))) {
    if (value > 0n && !claimed.has(name)) out[name] = ceil(value, name === "cpu" ? MILLI : UNIT);
  }
  return out;
}

/** A node's allocatable in the same units. */
export function ledgerLimits(allocatable: Record<string, string> | undefined): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [name, value] of Object.entries(amounts(allocatable))) {
    out[name] = Number(value / (name === "cpu" ? MILLI : UNIT));
  }
  return out;
}

const COMPUTE = ["cpu", "memory"];

export function qosClass(pod: Pod): "Guaranteed" | "Burstable" | "BestEffort" {
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const requests: Amounts = {};
  const limits: Amounts = {};
  let guaranteed = true;
  for (const { resources } of containers) {
    const [req, lim] = [
      amounts(resources?.requests as Record<string, string>),
      amounts(resources?.limits as Record<string, string>),
    ];
    for (const name of COMPUTE) {
      if (req[name]) requests[name] = (requests[name] ?? 0n) + req[name];
      if (lim[name]) limits[name] = (limits[name] ?? 0n) + lim[name];
      if (!lim[name]) guaranteed = false;
    }
  }
  if (Object.keys(requests).length === 0 && Object.keys(limits).length === 0) return "BestEffort";
  const equal = COMPUTE.every(
    (name) => limits[name] !== undefined && (requests[name] ?? limits[name]) === limits[name],
  );
  return guaranteed && equal ? "Guaranteed" : "Burstable";
}
