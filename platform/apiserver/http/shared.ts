/**
 * What root shares with every tenant: nodes and storage classes are root's, and a tenant sees them under its own address, read-only and without
 * what tells of other tenants.
 */
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import type { Node } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { forbidden } from "#sdk/api/status.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
import type { RequestInfo } from "./requestInfo.ts";

const SHARED = new Set(["/nodes", "storage.k8s.io/storageclasses", "storage.k8s.io/csidrivers"]);
const READING = new Set(["get", "list", "watch"]);

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

/** The entry as tenants are shown it. */
export function sharedView(entry: ResourceEntry): ResourceEntry {
  if (entry.facts.resource !== "nodes") return entry;
  const { group, version, resource } = entry.facts;
  const storage = { group, version, resource, toStorage: (o: DynamicObject) => o, fromStorage: withheld };
  return { ...entry, strategy: { ...entry.strategy, storage } };
}
