/**
 * What root shares with every tenant: nodes and storage classes are root's, and a tenant sees them under its own address, read-only and without
 * what tells of other tenants. And what nodes are shown of pods that run elsewhere.
 */
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import type { Container, Node, Pod } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { forbidden } from "#sdk/api/status.ts";
import { readsOthersPods } from "../authz/nodes.ts";
import type { UserInfo } from "../registry/admission.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
import type { RequestInfo } from "./requestInfo.ts";

const SHARED = new Set(["/nodes", "storage.k8s.io/storageclasses", "storage.k8s.io/csidrivers"]);
const READING = new Set(["get", "list", "watch"]);

/** Whose objects of this resource hold for a tenant. */
export const ownerOf = (tenant: TenantId, group: string, resource: string): TenantId =>
  SHARED.has(`${group}/${resource}`) ? ROOT_TENANT : tenant;

/** Whether the request is answered with root's objects. Throws 403 for a tenant's attempt to change them, or to reach behind them. */
export function isShared(tenant: TenantId | "*", info: RequestInfo): boolean {
  if (tenant === ROOT_TENANT || tenant === "*" || !info.isResource) return false;
  if (!SHARED.has(`${info.group}/${info.resource}`)) return false;
  if (READING.has(info.verb) && info.subresource === "") return true;
  throw forbidden(
    { group: info.group, resource: info.resource },
    info.name,
    "these belong to root; tenants may read them",
  );
}

/** Images and volumes are named by whoever uses them. */
function withheld(object: DynamicObject): DynamicObject {
  const { status, ...rest } = object as unknown as Node;
  if (!status) return object;
  const { images: _images, volumesInUse: _used, volumesAttached: _attached, ...open } = status;
  return { ...rest, status: open } as unknown as DynamicObject;
}

function shownAs(entry: ResourceEntry, fromStorage: (object: DynamicObject) => DynamicObject): ResourceEntry {
  const { group, version, resource } = entry.facts;
  const storage = { group, version, resource, toStorage: (o: DynamicObject) => o, fromStorage };
  return { ...entry, strategy: { ...entry.strategy, storage } };
}

/** The entry as tenants are shown it. */
export const sharedView = (entry: ResourceEntry): ResourceEntry =>
  entry.facts.resource === "nodes" ? shownAs(entry, withheld) : entry;

/** On the image of a pod that a machine runs by itself: that pod's uid there. */
const MIRROR = "kubernetes.io/config.mirror";

/** What rules between pods are made of: whose they are, their labels, addresses and ports; nothing of what runs in them. */
function networkOf(object: DynamicObject): DynamicObject {
  const { apiVersion, kind, metadata, spec, status } = object as unknown as Pod;
  const { name, namespace, uid, labels, resourceVersion, creationTimestamp, deletionTimestamp } = metadata;
  const mirror = metadata.annotations?.[MIRROR];
  const mirrored = mirror === undefined ? {} : { annotations: { [MIRROR]: mirror } };
  const ports = (containers: readonly Container[] | undefined) =>
    (containers ?? []).map(({ name: of, ports: open }) => ({ name: of, ports: open }));
  return {
    apiVersion,
    kind,
    metadata: { name, namespace, uid, labels, resourceVersion, creationTimestamp, deletionTimestamp, ...mirrored },
    spec: {
      nodeName: spec?.nodeName,
      hostNetwork: spec?.hostNetwork,
      containers: ports(spec?.containers),
      initContainers: ports(spec?.initContainers),
    },
    status: { phase: status?.phase, podIP: status?.podIP, podIPs: status?.podIPs },
  } as unknown as DynamicObject;
}

/** The entry as a node is shown pods that are not its own. */
export const networkView = (entry: ResourceEntry): ResourceEntry => shownAs(entry, networkOf);

export const isNetworkView = (
  user: UserInfo,
  { info, query }: { info: RequestInfo; query: URLSearchParams },
): boolean =>
  info.group === "" &&
  info.resource === "pods" &&
  (info.verb === "list" || info.verb === "watch") &&
  readsOthersPods(user, query.get("fieldSelector") ?? "");
