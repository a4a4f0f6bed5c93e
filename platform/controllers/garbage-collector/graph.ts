/**
 * Who owns whom, over all resources and tenants: pure bookkeeping. A node is an object the watches have shown; an owner
 * that was never shown is known only by its dependents.
 */
import type { KubeObject, OwnerReference } from "#sdk/api/object.ts";
import type { DiscoveredResource } from "#sdk/client/discovery.ts";
import { tenantOf } from "#sdk/client/port.ts";

export const FOREGROUND = "foregroundDeletion";
export const ORPHAN = "orphan";

export interface GraphNode {
  /** "tenant/uid" */
  id: string;
  tenant: string;
  resource: DiscoveredResource;
  namespace: string | undefined;
  name: string;
  uid: string;
  owners: readonly OwnerReference[];
  /** Deleted, but held by finalizers. */
  deleting: boolean;
  finalizers: readonly string[];
}

export interface Graph {
  get(id: string): GraphNode | undefined;
  /** Takes over what a watch says and returns the nodes to look at. */
  put(resource: DiscoveredResource, object: KubeObject): string[];
  remove(object: KubeObject): string[];
  dependentsOf(id: string): GraphNode[];
  /** An owner that was asked for and isn't there. */
  markAbsent(id: string): void;
  isAbsent(id: string): boolean;
  size(): number;
}

const ABSENT_MAX = 5000;
export const waitsForDependents = (node: GraphNode | undefined): boolean =>
  node?.deleting === true && node.finalizers.includes(FOREGROUND);
const mustOrphan = (node: GraphNode): boolean => node.deleting && node.finalizers.includes(ORPHAN);
export const ownerId = (node: { tenant: string }, owner: OwnerReference): string => `${node.tenant}/${owner.uid}`;

export function createGraph(): Graph {
  const nodes = new Map<string, GraphNode>();
  /** owner → dependents */
  const dependents = new Map<string, Set<string>>();
  const absent = new Set<string>();

  const link = (node: GraphNode) => {
    for (const owner of node.owners) {
      const id = ownerId(node, owner);
      const present = dependents.get(id);
      if (present) present.add(node.id);
      else dependents.set(id, new Set([node.id]));
    }
  };
  const unlink = (node: GraphNode) => {
    for (const owner of node.owners) {
      const id = ownerId(node, owner);
      dependents.get(id)?.delete(node.id);
      if (dependents.get(id)?.size === 0) dependents.delete(id);
    }
  };
  const dependentIds = (id: string) => [...(dependents.get(id) ?? [])];
  /** Owners that wait for this one to go or to stop blocking. */
  const waitingOwners = (node: GraphNode | undefined) =>
    (node?.owners ?? []).map((o) => ownerId(node!, o)).filter((id) => waitsForDependents(nodes.get(id)));

  return {
    get: (id) => nodes.get(id),
    put(resource, object) {
      const old = nodes.get(idOf(object));
      // Most of what happens to objects is nothing to their owners: a heartbeat, a status.
      if (old && old.resource === resource && isAsBefore(old, object)) return [];
      const node = nodeOf(resource, object);
      if (old) unlink(old);
      nodes.set(node.id, node);
      link(node);
      absent.delete(node.id);
      const ids = waitingOwners(old);
      const ownersChanged = !sameOwners(old?.owners ?? [], node.owners);
      const unsure = node.owners.some(
        (o) => !nodes.has(ownerId(node, o)) || waitsForDependents(nodes.get(ownerId(node, o))),
      );
      if (ownersChanged && unsure) ids.push(node.id);
      if (mustOrphan(node)) ids.push(node.id);
      if (waitsForDependents(node)) ids.push(node.id, ...dependentIds(node.id));
      return ids;
    },
    remove(object) {
      const id = idOf(object);
      const node = nodes.get(id);
      if (node) unlink(node);
      nodes.delete(id);
      this.markAbsent(id);
      return [...dependentIds(id), ...waitingOwners(node)];
    },
    dependentsOf: (id) => dependentIds(id).flatMap((d) => nodes.get(d) ?? []),
    markAbsent(id) {
      absent.add(id);
      if (absent.size > ABSENT_MAX) absent.delete(absent.values().next().value!);
    },
    isAbsent: (id) => absent.has(id),
    size: () => nodes.size,
  };
}

const idOf = (object: KubeObject): string => `${tenantOf(object)}/${object.metadata.uid}`;

const sameOwners = (one: readonly OwnerReference[], other: readonly OwnerReference[]): boolean =>
  one.length === other.length && one.every((owner, i) => sameOwner(owner, other[i]!));

const sameOwner = (one: OwnerReference, other: OwnerReference): boolean =>
  one.uid === other.uid &&
  one.name === other.name &&
  one.kind === other.kind &&
  one.apiVersion === other.apiVersion &&
  one.controller === other.controller &&
  one.blockOwnerDeletion === other.blockOwnerDeletion;

function isAsBefore(node: GraphNode, { metadata }: KubeObject): boolean {
  const finalizers = metadata.finalizers ?? [];
  return (
    node.deleting === (metadata.deletionTimestamp !== undefined) &&
    node.finalizers.length === finalizers.length &&
    node.finalizers.every((finalizer, i) => finalizer === finalizers[i]) &&
    sameOwners(node.owners, metadata.ownerReferences ?? [])
  );
}

function nodeOf(resource: DiscoveredResource, object: KubeObject): GraphNode {
  const { metadata } = object;
  const tenant = tenantOf(object);
  return {
    id: idOf(object),
    tenant,
    resource,
    namespace: metadata.namespace,
    name: metadata.name ?? "",
    uid: metadata.uid ?? "",
    owners: metadata.ownerReferences ?? [],
    deleting: metadata.deletionTimestamp !== undefined,
    finalizers: metadata.finalizers ?? [],
  };
}
