/**
 * A claim in place of resources that a pod asks for by number (KEP-5004; upstream: dynamicresources/extendeddynamicresources.go). On a node whose
 * plugins have the resource it is an amount like any other; elsewhere devices of a class stand for it.
 */
import { EXTENDED_CLAIM, mayBeDevices } from "#platform/rules/extended-resources.ts";
import { podRequests } from "#platform/rules/pod-requests.ts";
import type {
  Container,
  ContainerExtendedResourceRequest,
  DeviceClass,
  DeviceRequest,
  Pod,
  ResourceClaim,
} from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityValue } from "#sdk/api/quantity.ts";

/** By the resource's name, in its tenant. */
export type ClassOf = (tenant: string, resource: string) => DeviceClass | undefined;

export interface Asked {
  amount: number;
  class: DeviceClass;
}

const containersOf = ({ spec }: Pod): Container[] => [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];

/** Cheap: most pods ask for nothing of the kind. */
const mayAsk = (pod: Pod): boolean => {
  for (const { resources } of containersOf(pod))
    for (const name in resources?.requests) if (name.includes("/") && mayBeDevices(name)) return true;
  return false;
};

const NOTHING: ReadonlyMap<string, Asked> = new Map();

/** What of a pod's requests devices of a class may stand for, by resource. */
export function resourcesOf(pod: Pod, tenant: string, classOf: ClassOf): ReadonlyMap<string, Asked> {
  if (!mayAsk(pod)) return NOTHING;
  const found = new Map<string, Asked>();
  for (const [name, amount] of Object.entries(podRequests(pod.spec))) {
    const of = amount > 0 && mayBeDevices(name) ? classOf(tenant, name) : undefined;
    if (of) found.set(name, { amount, class: of });
  }
  return found;
}

export interface ExtendedClaim {
  claim: ResourceClaim;
  mappings: ContainerExtendedResourceRequest[];
}

/** The claim for these of the pod's resources, as it is written: its name is the server's. */
export function claimFor(pod: Pod, uid: string, resources: ReadonlyMap<string, Asked>): ExtendedClaim {
  const { name = "", namespace, uid: podUid = "" } = pod.metadata;
  const { requests, mappings } = requestsFor(pod, resources);
  const claim: ResourceClaim = {
    apiVersion: "resource.k8s.io/v1",
    kind: "ResourceClaim",
    metadata: {
      uid,
      namespace,
      generateName: `${name}-extended-resources-`,
      annotations: { [EXTENDED_CLAIM]: "true" },
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name, uid: podUid, controller: true }],
    },
    spec: { devices: { requests } },
  };
  return { claim, mappings };
}

interface Need {
  request?: DeviceRequest;
  /** Requests whose devices the container has. */
  names: string[];
}

const countOf = (request: DeviceRequest | undefined): number => request?.exactly?.count ?? 0;

/** `reusable`: requests of containers that start after this one has ended. */
function needOf(
  container: Container,
  index: number,
  resource: string,
  className: string,
  reusable: readonly DeviceRequest[],
): Need {
  const requests = container.resources?.requests ?? {};
  const wanted = Object.hasOwn(requests, resource) ? quantityValue(parseQuantity(requests[resource] ?? "0")) : 0;
  const names: string[] = [];
  if (wanted <= 0) return { names };
  let had = 0;
  for (const other of reusable) {
    had += countOf(other);
    names.push(other.name);
    if (had >= wanted) return { names };
  }
  const name = `container-${index}-request-${Object.keys(requests).sort().indexOf(resource)}`;
  const exactly = { deviceClassName: className, allocationMode: "ExactCount", count: wanted - had };
  return { request: { name, exactly }, names: [...names, name] };
}

/**
 * One request for each resource of each container that stays; init containers, which run one after the other, use those of the containers
 * after them, and one more request together for what they need beyond.
 */
export function requestsFor(
  pod: Pod,
  resources: ReadonlyMap<string, Asked>,
): { requests: DeviceRequest[]; mappings: ContainerExtendedResourceRequest[] } {
  const containers = containersOf(pod);
  const inits = pod.spec?.initContainers?.length ?? 0;
  const ends = (i: number) => i < inits && containers[i]!.restartPolicy !== "Always";
  const requests: DeviceRequest[] = [];
  const mappings: ContainerExtendedResourceRequest[] = [];
  const map = (container: Container, resourceName: string, names: readonly string[]) => {
    for (const requestName of names) mappings.push({ containerName: container.name, resourceName, requestName });
  };
  for (const resource of [...resources.keys()].sort()) {
    const className = resources.get(resource)!.class.metadata.name ?? "";
    const staying = containers.map((container, i) =>
      ends(i) ? undefined : needOf(container, i, resource, className, []),
    );
    for (const [i, need] of staying.entries()) if (need) map(containers[i]!, resource, need.names);
    const passing = containers.map((container, i) => {
      if (!ends(i)) return undefined;
      const after = staying.slice(i).flatMap((need) => need?.request ?? []);
      return needOf(container, i, resource, className, after);
    });
    const own = passing.flatMap((need) => need?.request ?? []);
    const largest = own.reduce<DeviceRequest | undefined>(
      (most, one) => (most === undefined || countOf(most) < countOf(one) ? one : most),
      undefined,
    );
    const replaced = new Set(own.map(({ name }) => name));
    for (const [i, need] of passing.entries())
      if (need)
        map(
          containers[i]!,
          resource,
          need.names.map((name) => (replaced.has(name) ? (largest?.name ?? name) : name)),
        );
    requests.push(...(largest ? [largest] : []), ...staying.flatMap((need) => need?.request ?? []));
  }
  return { requests: requests.sort((a, b) => (a.name < b.name ? -1 : 1)), mappings };
}
