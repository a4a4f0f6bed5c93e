/** What to do with one object: delete it, free it of owners that are gone, or go on with its own deletion (upstream: pkg/controller/garbagecollector). */
import { type KubeObject, type OwnerReference, parseApiVersion } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { DiscoveredResource } from "#sdk/client/discovery.ts";
import type { Client } from "#sdk/client/port.ts";
import { FOREGROUND, type Graph, type GraphNode, ORPHAN, ownerId, waitsForDependents } from "./graph.ts";

export interface Collector {
  client: Client;
  graph: Graph;
  /** The resource of an owner reference's kind, as the tenant has it. */
  resourceOf(tenant: string, group: string, kind: string): DiscoveredResource | undefined;
  enqueue(id: string): void;
}

/** Decides on what the API says now, never on the graph alone. */
export async function collect(c: Collector, id: string): Promise<void> {
  const node = c.graph.get(id);
  if (!node || !mayNeedWork(c.graph, node)) return;
  const live = await read(c.client.tenant(node.tenant), node);
  if (!live || live.metadata.uid !== node.uid) return;
  const { deletionTimestamp, finalizers = [] } = live.metadata;
  if (deletionTimestamp) {
    if (finalizers.includes(ORPHAN)) return orphanDependents(c, node);
    if (finalizers.includes(FOREGROUND)) return deleteDependents(c, node);
    return;
  }
  const owners = live.metadata.ownerReferences ?? [];
  if (owners.length === 0) return;
  const { solid, absent, waiting } = await classify(c, node, owners);
  if (absent.length === 0 && waiting.length === 0) return;
  const client = c.client.tenant(node.tenant);
  if (solid.length > 0) {
    await patchMetadata(client, node, live, { ownerReferences: solid });
    return;
  }
  const dependents = c.graph.dependentsOf(id);
  const blockers = waiting.length > 0 && dependents.length > 0;
  // In a circle each would wait for the next for ever.
  if (blockers && dependents.some(waitsForDependents)) {
    const freed = owners.map((owner) => ({ ...owner, blockOwnerDeletion: false }));
    await patchMetadata(client, node, live, { ownerReferences: freed });
  }
  const propagationPolicy = finalizers.includes(ORPHAN)
    ? "Orphan"
    : blockers || finalizers.includes(FOREGROUND)
      ? "Foreground"
      : "Background";
  await ignoringAbsence(client.delete(node.resource, node, { propagationPolicy, preconditions: { uid: node.uid } }));
}

/** The graph is enough to see that nothing is to be done: after a start nearly all objects are such. */
const mayNeedWork = (graph: Graph, node: GraphNode): boolean =>
  node.deleting ||
  node.owners.some((owner) => {
    const known = graph.get(ownerId(node, owner));
    return !known || waitsForDependents(known);
  });

async function classify(c: Collector, node: GraphNode, owners: readonly OwnerReference[]) {
  const kinds = { solid: [] as OwnerReference[], absent: [] as OwnerReference[], waiting: [] as OwnerReference[] };
  for (const owner of owners) {
    const id = ownerId(node, owner);
    if (c.graph.isAbsent(id) || !(await ownerLives(c, node, owner))) kinds.absent.push(owner);
    else if (waitsForDependents(c.graph.get(id)) && owner.blockOwnerDeletion) kinds.waiting.push(owner);
    else kinds.solid.push(owner);
  }
  return kinds;
}

/** Verified live: the graph may be behind, and a wrong "absent" would delete what somebody still owns. */
async function ownerLives(c: Collector, node: GraphNode, owner: OwnerReference): Promise<boolean> {
  const id = ownerId(node, owner);
  if (c.graph.get(id)) return true;
  const resource = c.resourceOf(node.tenant, parseApiVersion(owner.apiVersion).group, owner.kind);
  if (!resource) throw new Error(`no resource serves ${owner.apiVersion} ${owner.kind}, an owner of ${node.name}`);
  const namespace = resource.namespaced ? node.namespace : undefined;
  const live = await read(c.client.tenant(node.tenant), { resource, namespace, name: owner.name });
  if (live?.metadata.uid === owner.uid) return true;
  c.graph.markAbsent(id);
  return false;
}

/** Foreground: the dependents that block go first, then the finalizer. */
async function deleteDependents(c: Collector, node: GraphNode): Promise<void> {
  const blocking = c.graph
    .dependentsOf(node.id)
    .filter((d) => d.owners.some((o) => o.uid === node.uid && o.blockOwnerDeletion));
  for (const dependent of c.graph.dependentsOf(node.id)) if (!dependent.deleting) c.enqueue(dependent.id);
  if (blocking.length === 0) await removeFinalizer(c, node, FOREGROUND);
}

async function orphanDependents(c: Collector, node: GraphNode): Promise<void> {
  const client = c.client.tenant(node.tenant);
  for (const dependent of c.graph.dependentsOf(node.id)) {
    const live = await read(client, dependent);
    const owners = live?.metadata.ownerReferences ?? [];
    const others = owners.filter((o) => o.uid !== node.uid);
    if (live && others.length < owners.length)
      await patchMetadata(client, dependent, live, { ownerReferences: others });
  }
  await removeFinalizer(c, node, ORPHAN);
}

async function removeFinalizer(c: Collector, node: GraphNode, finalizer: string): Promise<void> {
  const client = c.client.tenant(node.tenant);
  const live = await read(client, node);
  const finalizers = live?.metadata.finalizers ?? [];
  if (!live || live.metadata.uid !== node.uid || !finalizers.includes(finalizer)) return;
  await patchMetadata(client, node, live, { finalizers: finalizers.filter((f) => f !== finalizer) });
}

type Place = Pick<GraphNode, "resource" | "namespace" | "name">;

async function read(client: Client, { resource, namespace, name }: Place): Promise<KubeObject | undefined> {
  try {
    return await client.get(resource, { namespace, name });
  } catch (error) {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  }
}

/** By compare-and-swap on what was read. */
async function patchMetadata(
  client: Client,
  { resource, namespace, name }: Place,
  live: KubeObject,
  change: { ownerReferences: OwnerReference[] } | { finalizers: string[] },
): Promise<void> {
  const { uid, resourceVersion } = live.metadata;
  const lists = JSON.parse(JSON.stringify(change)) as Record<string, never>;
  const body = { metadata: { uid, resourceVersion, ...lists } };
  await ignoringAbsence(client.patch(resource, { namespace, name }, { type: "merge", body }));
}

async function ignoringAbsence(request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}
