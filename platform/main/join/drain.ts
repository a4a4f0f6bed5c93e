/** Takes the pods off a node, of every tenant: by evictions, so that budgets count. Pods of DaemonSets and of the machine itself stay. */
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";

const NODES: GroupVersionResource = { group: "", version: "v1", resource: "nodes" };
const PODS: GroupVersionResource = { group: "", version: "v1", resource: "pods" };
const MIRROR = "kubernetes.io/config.mirror";
const LOOK_MS = 500;

const staysHere = ({ metadata, status }: Pod): boolean =>
  metadata.annotations?.[MIRROR] !== undefined ||
  metadata.ownerReferences?.some(({ kind, controller }) => controller === true && kind === "DaemonSet") === true ||
  status?.phase === "Succeeded" ||
  status?.phase === "Failed";

/** Answers the pods that did not leave in time, "tenant/namespace/name". Rejects with NotFound for a node that is not there. */
export async function drainNode(
  client: Client,
  name: string,
  timeoutMs: number,
  on: (left: number) => void,
): Promise<string[]> {
  await client.patch<Node>(NODES, { name }, { type: "merge", body: { spec: { unschedulable: true } } });
  const all = client.tenant("*");
  const asked = new Set<string>();
  for (const end = Date.now() + timeoutMs; ; ) {
    const { items } = await all.list<Pod>(PODS, { fieldSelector: `spec.nodeName=${name}` });
    const left = items.filter((pod) => !staysHere(pod));
    on(left.length);
    const names = left.map((pod) => `${tenantOf(pod)}/${pod.metadata.namespace}/${pod.metadata.name}`);
    if (left.length === 0 || Date.now() > end) return names;
    for (const pod of left)
      if (!asked.has(pod.metadata.uid ?? "") && (await evict(client, pod))) asked.add(pod.metadata.uid ?? "");
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** False where a budget does not allow it yet. */
async function evict(client: Client, { metadata, ...pod }: Pod): Promise<boolean> {
  const { name = "", namespace = "" } = metadata;
  const body = JSON.stringify({ apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace } });
  const tenant = client.tenant(tenantOf({ metadata, ...pod }));
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
  const { code, body: said } = await tenant.raw("POST", path, body, { "content-type": "application/json" });
  if (code < 300 || code === 404) return true;
  if (code === 429) return false;
  throw new Error(`the eviction of ${namespace}/${name} is refused: ${said.slice(0, 300)}`);
}

/** The Node and its lease go; a machine that still runs would make it again. */
export async function deleteNode(client: Client, name: string): Promise<void> {
  try {
    await client.delete(NODES, { name });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}
