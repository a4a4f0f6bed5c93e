/** Resources of a pod that devices of its claim stand for (KEP-5004): the node's own plugins have nothing to do with them. */
import type { Container, Pod } from "#sdk/api/generated/types.ts";

/** `container`: left out, of any container of the pod. */
export const isClaimed = ({ status }: Pod, resource: string, container?: string): boolean =>
  status?.extendedResourceClaimStatus?.requestMappings.some(
    (mapping) => mapping.resourceName === resource && (container ?? mapping.containerName) === mapping.containerName,
  ) ?? false;

/** The container without what it has devices of a claim for. */
export function withoutClaimed(pod: Pod, container: Container): Container {
  const requests = Object.entries(container.resources?.requests ?? {});
  const left = requests.filter(([name]) => !isClaimed(pod, name, container.name));
  if (left.length === requests.length) return container;
  return { ...container, resources: { ...container.resources, requests: Object.fromEntries(left) } };
}
