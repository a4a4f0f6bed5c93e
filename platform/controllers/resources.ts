/** The resources the loops watch and write. */
import type { GroupVersionResource } from "#sdk/api/object.ts";

/** "group/resource": whichever version it is read in. */
export const keyOfResource = ({ group, resource }: Pick<GroupVersionResource, "group" | "resource">): string =>
  `${group}/${resource}`;

const v1 = (group: string) => (resource: string) => ({ group, version: "v1", resource }) satisfies GroupVersionResource;
const [core, apps, batch] = [v1(""), v1("apps"), v1("batch")];

export const CONFIGMAPS = core("configmaps");
export const ENDPOINTS = core("endpoints");
export const NAMESPACES = core("namespaces");
export const NODES = core("nodes");
export const PERSISTENT_VOLUMES = core("persistentvolumes");
export const PERSISTENT_VOLUME_CLAIMS = core("persistentvolumeclaims");
export const PODS = core("pods");
export const REPLICATION_CONTROLLERS = core("replicationcontrollers");
export const SECRETS = core("secrets");
export const SERVICES = core("services");
export const SERVICE_ACCOUNTS = core("serviceaccounts");
export const CONTROLLER_REVISIONS = apps("controllerrevisions");
export const DAEMON_SETS = apps("daemonsets");
export const DEPLOYMENTS = apps("deployments");
export const REPLICA_SETS = apps("replicasets");
export const STATEFUL_SETS = apps("statefulsets");
export const CRON_JOBS = batch("cronjobs");
export const JOBS = batch("jobs");
export const ENDPOINT_SLICES = v1("discovery.k8s.io")("endpointslices");
export const SERVICE_CIDRS = v1("networking.k8s.io")("servicecidrs");
export const IP_ADDRESSES = v1("networking.k8s.io")("ipaddresses");
export const RESOURCE_CLAIMS = v1("resource.k8s.io")("resourceclaims");
export const RESOURCE_CLAIM_TEMPLATES = v1("resource.k8s.io")("resourceclaimtemplates");
export const RESOURCE_SLICES = v1("resource.k8s.io")("resourceslices");
export const VALIDATING_ADMISSION_POLICIES = v1("admissionregistration.k8s.io")("validatingadmissionpolicies");
export const CUSTOM_RESOURCE_DEFINITIONS = v1("apiextensions.k8s.io")("customresourcedefinitions");
export const LEASES = v1("coordination.k8s.io")("leases");
export const POD_DISRUPTION_BUDGETS = v1("policy")("poddisruptionbudgets");
export const CLUSTER_ROLES = v1("rbac.authorization.k8s.io")("clusterroles");
export const STORAGE_CLASSES = v1("storage.k8s.io")("storageclasses");
export const VOLUME_ATTACHMENTS = v1("storage.k8s.io")("volumeattachments");
export const CSI_DRIVERS = v1("storage.k8s.io")("csidrivers");
export const VOLUME_ATTRIBUTES_CLASSES = v1("storage.k8s.io")("volumeattributesclasses");
export const CERTIFICATE_SIGNING_REQUESTS = v1("certificates.k8s.io")("certificatesigningrequests");
export const SUBJECT_ACCESS_REVIEWS = v1("authorization.k8s.io")("subjectaccessreviews");
export const HORIZONTAL_POD_AUTOSCALERS: GroupVersionResource = {
  group: "autoscaling",
  version: "v2",
  resource: "horizontalpodautoscalers",
};
