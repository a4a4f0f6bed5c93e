/** What is written into a claim's status about the devices that it got (resource.k8s.io/v1, AllocationResult). */
import type {
  AllocationResult,
  DeviceAllocationConfiguration,
  DeviceRequestAllocationResult,
  Node,
  NodeSelector,
  NodeSelectorRequirement,
  ResourceClaim,
} from "#sdk/api/generated/types.ts";
import { formatQuantity, type Quantity } from "#sdk/api/quantity.ts";
import type { Wanted } from "./allocator.ts";
import type { Candidate } from "./pools.ts";

export interface Given {
  request: Wanted;
  candidate: Candidate;
  /** Of a device that others may have, too. */
  amounts: Record<string, Quantity>;
  shareID?: string;
}

/** `requests`: those of the claim, each as itself or the alternative that was taken. */
export function resultOf(
  claim: ResourceClaim,
  requests: readonly Wanted[],
  given: readonly Given[],
  node: Node,
): AllocationResult {
  const config = [...classConfiguration(requests), ...claimConfiguration(claim, requests)];
  const nodeSelector = selectorOf(given, node);
  return {
    devices: { results: given.map(entryOf), ...(config.length > 0 ? { config } : {}) },
    ...(nodeSelector ? { nodeSelector } : {}),
  };
}

function entryOf({ request, candidate: { device, slice }, amounts, shareID }: Given): DeviceRequestAllocationResult {
  const { bindingConditions, bindingFailureConditions } = device;
  const consumed = Object.entries(amounts).map(([name, amount]) => [name, formatQuantity(amount)]);
  return {
    request: request.name,
    driver: slice.spec.driver,
    pool: slice.spec.pool.name,
    device: device.name,
    ...(request.adminAccess ? { adminAccess: true } : {}),
    ...(request.tolerations.length > 0 ? { tolerations: [...request.tolerations] } : {}),
    ...(bindingConditions?.length ? { bindingConditions } : {}),
    ...(bindingFailureConditions?.length ? { bindingFailureConditions } : {}),
    ...(shareID ? { shareID } : {}),
    ...(consumed.length > 0 ? { consumedCapacity: Object.fromEntries(consumed) } : {}),
  };
}

/** Each class' once, with the names of all requests that are of the class. */
function classConfiguration(requests: readonly Wanted[]): DeviceAllocationConfiguration[] {
  const byClass = new Map(requests.map((wanted) => [wanted.class.metadata.name, wanted.class]));
  return [...byClass.values()].flatMap((of) =>
    (of.spec.config ?? []).map((config) => ({
      source: "FromClass",
      requests: requests.filter((wanted) => wanted.class.metadata.name === of.metadata.name).map(({ name }) => name),
      ...config,
    })),
  );
}

function claimConfiguration(claim: ResourceClaim, requests: readonly Wanted[]): DeviceAllocationConfiguration[] {
  const names = requests.flatMap(({ name }) => [name, name.split("/")[0] ?? ""]);
  return (claim.spec.devices?.config ?? [])
    .filter(({ requests: of }) => !of?.length || of.some((name) => names.includes(name)))
    .map((config) => ({ source: "FromClaim", ...config }));
}

/** Where the devices can be used together; undefined: anywhere. */
function selectorOf(given: readonly Given[], node: Node): NodeSelector | undefined {
  const fields: NodeSelectorRequirement[] = [];
  const expressions: NodeSelectorRequirement[] = [];
  for (const { candidate } of given) {
    const { device, slice } = candidate;
    const { nodeName, nodeSelector } = slice.spec.perDeviceNodeSelection ? device : slice.spec;
    if (nodeName || device.bindsToNode) {
      const name = { key: "metadata.name", operator: "In", values: [node.metadata.name ?? ""] };
      return { nodeSelectorTerms: [{ matchFields: [name] }] };
    }
    const [term] = nodeSelector?.nodeSelectorTerms ?? [];
    addNew(fields, term?.matchFields);
    addNew(expressions, term?.matchExpressions);
  }
  if (fields.length + expressions.length === 0) return undefined;
  const term = {
    ...(fields.length > 0 ? { matchFields: fields } : {}),
    ...(expressions.length > 0 ? { matchExpressions: expressions } : {}),
  };
  return { nodeSelectorTerms: [term] };
}

function addNew(to: NodeSelectorRequirement[], from: readonly NodeSelectorRequirement[] = []): void {
  const textOf = ({ key, operator, values = [] }: NodeSelectorRequirement) =>
    JSON.stringify([key, operator, values.toSorted()]);
  for (const requirement of from) if (!to.some((known) => textOf(known) === textOf(requirement))) to.push(requirement);
}
