/** The resources the loops watch and write. */
import type { GroupVersionResource } from "#sdk/api/object.ts";

const core = (resource: string): GroupVersionResource => ({ group: "", version: "v1", resource });
const apps = (resource: string): GroupVersionResource => ({ group: "apps", version: "v1", resource });

export const CONFIGMAPS = core("configmaps");
export const ENDPOINTS = core("endpoints");
export const NAMESPACES = core("namespaces");
export const NODES = core("nodes");
export const PODS = core("pods");
export const SERVICES = core("services");
export const SERVICE_ACCOUNTS = core("serviceaccounts");
export const DEPLOYMENTS = apps("deployments");
export const REPLICA_SETS = apps("replicasets");
export const ENDPOINT_SLICES: GroupVersionResource = {
  group: "discovery.k8s.io",
  version: "v1",
  resource: "endpointslices",
};
export const LEASES: GroupVersionResource = { group: "coordination.k8s.io", version: "v1", resource: "leases" };
