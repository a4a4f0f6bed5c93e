/** The built-in control loops. Adding one is a folder and a line here. */

import { attachDetachController } from "./attach-detach/controller.ts";
import { tokenCleaner } from "./bootstrap-tokens/cleaner.ts";
import { bootstrapSigner } from "./bootstrap-tokens/signer.ts";
import { certificateApprover, certificateCleaner, certificateSigner } from "./certificates/controller.ts";
import { clusterRoleAggregationController } from "./clusterrole-aggregation/controller.ts";
import type { Controller } from "./context.ts";
import { cronJobController } from "./cronjob/controller.ts";
import { daemonSetController } from "./daemonset/controller.ts";
import { deploymentController } from "./deployment/controller.ts";
import { deviceTaintEvictionController } from "./device-taint-eviction/controller.ts";
import { disruptionController } from "./disruption/controller.ts";
import { drainController } from "./drain/controller.ts";
import { endpointsController } from "./endpoints/controller.ts";
import { endpointSliceController } from "./endpointslice/controller.ts";
import { endpointSliceMirroringController } from "./endpointslice-mirroring/controller.ts";
import { ephemeralVolumeController } from "./ephemeral-volume/controller.ts";
import { garbageCollector } from "./garbage-collector/controller.ts";
import { horizontalPodAutoscalerController } from "./horizontal-pod-autoscaler/controller.ts";
import { jobController } from "./job/controller.ts";
import { kubeletServingApprover } from "./kubelet-serving/controller.ts";
import { namespaceController } from "./namespace/controller.ts";
import { nodeIPAMController } from "./node-ipam/controller.ts";
import { nodeLifecycleController } from "./node-lifecycle/controller.ts";
import { nodeTTLController } from "./node-ttl/controller.ts";
import { persistentVolumeBinder } from "./persistentvolume-binder/controller.ts";
import { pluginController } from "./plugins/controller.ts";
import { podGarbageCollector } from "./pod-gc/controller.ts";
import { policyStatusController } from "./policy-status/controller.ts";
import { replicaSetController } from "./replicaset/controller.ts";
import { replicationController } from "./replicationcontroller/controller.ts";
import { resourceClaimController } from "./resource-claim/controller.ts";
import { resourceQuotaController } from "./resourcequota/controller.ts";
import { rootCAController } from "./root-ca/controller.ts";
import { ipAddressController, serviceCIDRController } from "./service-cidr/controller.ts";
import { serviceAccountController } from "./serviceaccount/controller.ts";
import { serviceAccountTokenController } from "./serviceaccount-token/controller.ts";
import { statefulSetController } from "./statefulset/controller.ts";
import { claimProtection, volumeAttributesClassProtection, volumeProtection } from "./storage-protection/controller.ts";
import { storageVersionMigrator } from "./storage-version-migrator/controller.ts";
import { taintEvictionController } from "./taint-eviction/controller.ts";

import { ttlAfterFinishedController } from "./ttl-after-finished/controller.ts";
import { volumeExpandController } from "./volume-expand/controller.ts";

export const controllers: readonly Controller[] = [
  deploymentController,
  replicaSetController,
  drainController,
  replicationController,
  statefulSetController,
  daemonSetController,
  jobController,
  cronJobController,
  ttlAfterFinishedController,
  disruptionController,
  horizontalPodAutoscalerController,
  clusterRoleAggregationController,
  endpointSliceController,
  endpointSliceMirroringController,
  endpointsController,
  serviceCIDRController,
  ipAddressController,
  namespaceController,
  serviceAccountController,
  serviceAccountTokenController,
  rootCAController,
  certificateApprover,
  certificateSigner,
  certificateCleaner,
  kubeletServingApprover,
  tokenCleaner,
  bootstrapSigner,
  resourceQuotaController,
  policyStatusController,
  resourceClaimController,
  persistentVolumeBinder,
  ephemeralVolumeController,
  attachDetachController,
  volumeExpandController,
  claimProtection,
  volumeProtection,
  volumeAttributesClassProtection,
  storageVersionMigrator,
  garbageCollector,
  nodeLifecycleController,
  nodeTTLController,
  nodeIPAMController,
  taintEvictionController,
  deviceTaintEvictionController,
  podGarbageCollector,
  pluginController,
];
