/** The one list of table printers, by "resource" or "resource.group". Kinds that are not here show name and creation time. */
import * as access from "./access.ts";
import * as capstan from "./capstan.ts";
import * as core from "./core.ts";
import * as network from "./network.ts";
import { pods } from "./pods.ts";
import type { Printer } from "./printer.ts";
import * as scheduling from "./scheduling.ts";
import * as storage from "./storage.ts";
import * as workloads from "./workloads.ts";

export const tablePrinters: ReadonlyMap<string, Printer> = new Map<string, Printer>([
  ["pods", pods],
  ["configmaps", core.configMaps],
  ["secrets", core.secrets],
  ["serviceaccounts", core.named],
  ["namespaces", core.namespaces],
  ["services", core.services],
  ["endpoints", core.endpoints],
  ["nodes", core.nodes],
  ["componentstatuses", core.componentStatuses],
  ["events", core.events],
  ["resourcequotas", core.resourceQuotas],
  ["replicationcontrollers", workloads.replicationControllers],
  ["persistentvolumes", storage.persistentVolumes],
  ["persistentvolumeclaims", storage.persistentVolumeClaims],
  ["leases.coordination.k8s.io", core.leases],
  ["priorityclasses.scheduling.k8s.io", core.priorityClasses],
  ["runtimeclasses.node.k8s.io", core.runtimeClasses],
  ["controllerrevisions.apps", core.controllerRevisions],
  ["deployments.apps", workloads.deployments],
  ["replicasets.apps", workloads.replicaSets],
  ["statefulsets.apps", workloads.statefulSets],
  ["daemonsets.apps", workloads.daemonSets],
  ["jobs.batch", workloads.jobs],
  ["cronjobs.batch", workloads.cronJobs],
  ["horizontalpodautoscalers.autoscaling", workloads.horizontalPodAutoscalers],
  ["poddisruptionbudgets.policy", workloads.podDisruptionBudgets],
  ["endpointslices.discovery.k8s.io", network.endpointSlices],
  ["ingresses.networking.k8s.io", network.ingresses],
  ["ingressclasses.networking.k8s.io", network.ingressClasses],
  ["networkpolicies.networking.k8s.io", network.networkPolicies],
  ["servicecidrs.networking.k8s.io", network.serviceCIDRs],
  ["ipaddresses.networking.k8s.io", network.ipAddresses],
  ["storageclasses.storage.k8s.io", storage.storageClasses],
  ["volumeattachments.storage.k8s.io", storage.volumeAttachments],
  ["volumeattributesclasses.storage.k8s.io", storage.volumeAttributesClasses],
  ["csinodes.storage.k8s.io", storage.csiNodes],
  ["csidrivers.storage.k8s.io", storage.csiDrivers],
  ["rolebindings.rbac.authorization.k8s.io", access.bindings],
  ["clusterrolebindings.rbac.authorization.k8s.io", access.bindings],
  ["certificatesigningrequests.certificates.k8s.io", access.certificateSigningRequests],
  ["mutatingwebhookconfigurations.admissionregistration.k8s.io", access.webhookConfigurations],
  ["validatingwebhookconfigurations.admissionregistration.k8s.io", access.webhookConfigurations],
  ["validatingadmissionpolicies.admissionregistration.k8s.io", access.validatingAdmissionPolicies],
  ["validatingadmissionpolicybindings.admissionregistration.k8s.io", access.validatingAdmissionPolicyBindings],
  ["flowschemas.flowcontrol.apiserver.k8s.io", access.flowSchemas],
  ["prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", access.priorityLevelConfigurations],
  ["apiservices.apiregistration.k8s.io", access.apiServices],
  ["deviceclasses.resource.k8s.io", core.named],
  ["resourceclaimtemplates.resource.k8s.io", core.named],
  ["resourceclaims.resource.k8s.io", scheduling.resourceClaims],
  ["resourceslices.resource.k8s.io", scheduling.resourceSlices],
  ["workloads.scheduling.k8s.io", core.named],
  ["podgroups.scheduling.k8s.io", scheduling.podGroups],
  ["storageversionmigrations.storagemigration.k8s.io", scheduling.storageVersionMigrations],
  ["plugins.capstan.dev", capstan.plugins],
  ["tenants.capstan.dev", capstan.tenants],
]);
