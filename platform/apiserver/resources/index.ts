/** The one list of kinds with rules of their own. Every other kind of the facts is served by the generic strategy. */
import type { ResourceFacts } from "#sdk/api/schema.ts";
import type { TokenKeys, TokenReviewer } from "../authn/serviceAccounts.ts";
import type { Rbac } from "../authz/rbac.ts";
import { groupResource } from "../registry/catalog.ts";
import type { Strategy } from "../registry/strategy.ts";
import type { ParamReaders } from "./admissionregistration/params.ts";
import { admissionPolicyBindingStrategy, admissionPolicyStrategy } from "./admissionregistration/policies.ts";
import { webhookConfigurationStrategy } from "./admissionregistration/webhooks.ts";
import { customResourceDefinitionStrategy } from "./apiextensions/customResourceDefinitions.ts";
import { apiServiceStrategy } from "./apiregistration/apiservices.ts";
import { controllerRevisionStrategy } from "./apps/controllerrevisions.ts";
import { daemonSetStrategy } from "./apps/daemonsets/strategy.ts";
import { deploymentStrategy } from "./apps/deployments/strategy.ts";
import { replicaSetStrategy } from "./apps/replicasets/strategy.ts";
import { statefulSetStrategy } from "./apps/statefulsets/strategy.ts";
import * as reviews from "./authorization/reviews.ts";
import { horizontalPodAutoscalerStrategy } from "./autoscaling/strategy.ts";
import { cronJobStrategy, jobStrategy } from "./batch/strategies.ts";
import { type TenantMaker, tenantStrategy } from "./capstan/tenants/strategy.ts";
import { certificateSigningRequestStrategy } from "./certificates/signingrequests.ts";
import { leaseStrategy } from "./coordination/leases.ts";
import { bindingsStrategy } from "./core/bindings/strategy.ts";
import { configMapStrategy } from "./core/configmaps/strategy.ts";
import { endpointsStrategy } from "./core/endpoints/strategy.ts";
import { eventStrategy } from "./core/events/strategy.ts";
import { limitRangeStrategy } from "./core/limitranges/strategy.ts";
import { namespaceStrategy } from "./core/namespaces/strategy.ts";
import { nodeStrategy } from "./core/nodes/strategy.ts";
import { persistentVolumeClaimStrategy } from "./core/persistentvolumeclaims/strategy.ts";
import { persistentVolumeStrategy } from "./core/persistentvolumes/strategy.ts";
import { keepingGroups } from "./core/pods/scheduling-groups.ts";
import { podStrategy } from "./core/pods/strategy.ts";
import { podTemplateStrategy } from "./core/podtemplates/strategy.ts";
import { replicationControllerStrategy } from "./core/replicationcontrollers/strategy.ts";
import { resourceQuotaStrategy } from "./core/resourcequotas/strategy.ts";
import { secretStrategy } from "./core/secrets/strategy.ts";
import { serviceAccountStrategy } from "./core/serviceaccounts/strategy.ts";
import { serviceStrategy } from "./core/services/strategy.ts";
import { endpointSliceStrategy } from "./discovery/endpointSlices.ts";
import { flowSchemaStrategy, priorityLevelStrategy } from "./flowcontrol/strategies.ts";
import { ipAddressStrategy, serviceCIDRStrategy } from "./networking/addresses.ts";
import { ingressClassStrategy, ingressStrategy } from "./networking/ingresses.ts";
import { networkPolicyStrategy } from "./networking/policies.ts";
import { runtimeClassStrategy } from "./node/runtimeclasses.ts";
import { plainStrategy } from "./plain.ts";
import { podDisruptionBudgetStrategy } from "./policy/poddisruptionbudgets.ts";
import { bindingStrategy, roleStrategy } from "./rbac/strategies.ts";
import { deviceClassStrategy, resourceClaimStrategy, resourceClaimTemplateStrategy } from "./resource/claims.ts";
import { resourceSliceStrategy } from "./resource/slices.ts";
import { priorityClassStrategy } from "./scheduling/priorityclasses/strategy.ts";
import { type GroupFeatures, podGroupStrategy, workloadStrategy } from "./scheduling/workloads.ts";
import { storageClassStrategy, volumeAttributesClassStrategy } from "./storage/classes.ts";
import { csiDriverStrategy, csiNodeStrategy, csiStorageCapacityStrategy } from "./storage/csi.ts";
import { volumeAttachmentStrategy } from "./storage/volumeattachments.ts";
import { storageVersionMigrationStrategy } from "./storagemigration/migrations.ts";

export interface ResourceConfig extends ParamReaders {
  /** One range, or one of each family, the default family's first. */
  serviceCIDRs: readonly string[];
  tokenKeys: TokenKeys;
  tokens: TokenReviewer;
  rbac: Rbac;
  tenants: TenantMaker;
  /** Pods may name the group that they are scheduled with. */
  schedulingGroups: boolean;
  groupFeatures: GroupFeatures;
}

type StrategyMaker = (facts: ResourceFacts) => Strategy;

function makers(c: ResourceConfig): Record<string, StrategyMaker> {
  return {
    bindings: bindingsStrategy,
    "apiservices.apiregistration.k8s.io": apiServiceStrategy,
    configmaps: configMapStrategy,
    "mutatingadmissionpolicies.admissionregistration.k8s.io": admissionPolicyStrategy(c),
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": admissionPolicyBindingStrategy(c),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": webhookConfigurationStrategy,
    "validatingadmissionpolicies.admissionregistration.k8s.io": admissionPolicyStrategy(c),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": admissionPolicyBindingStrategy(c),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": webhookConfigurationStrategy,
    endpoints: endpointsStrategy,
    events: eventStrategy,
    limitranges: limitRangeStrategy,
    "events.events.k8s.io": eventStrategy,
    namespaces: namespaceStrategy,
    nodes: nodeStrategy,
    persistentvolumeclaims: persistentVolumeClaimStrategy,
    persistentvolumes: persistentVolumeStrategy,
    pods: podStrategy,
    podtemplates: podTemplateStrategy,
    replicationcontrollers: replicationControllerStrategy,
    resourcequotas: resourceQuotaStrategy,
    secrets: secretStrategy,
    serviceaccounts: serviceAccountStrategy(c.tokenKeys),
    services: serviceStrategy(c.serviceCIDRs),
    "controllerrevisions.apps": controllerRevisionStrategy,
    "customresourcedefinitions.apiextensions.k8s.io": customResourceDefinitionStrategy,
    "daemonsets.apps": daemonSetStrategy,
    "deployments.apps": deploymentStrategy,
    "replicasets.apps": replicaSetStrategy,
    "statefulsets.apps": statefulSetStrategy,
    "selfsubjectreviews.authentication.k8s.io": reviews.selfSubjectReview,
    "tokenreviews.authentication.k8s.io": reviews.tokenReview(c.tokens),
    "localsubjectaccessreviews.authorization.k8s.io": reviews.subjectAccessReview(c.authorizer, true),
    "selfsubjectaccessreviews.authorization.k8s.io": reviews.selfSubjectAccessReview(c.authorizer),
    "selfsubjectrulesreviews.authorization.k8s.io": reviews.selfSubjectRulesReview(c.authorizer),
    "subjectaccessreviews.authorization.k8s.io": reviews.subjectAccessReview(c.authorizer, false),
    "horizontalpodautoscalers.autoscaling": horizontalPodAutoscalerStrategy,
    "cronjobs.batch": cronJobStrategy,
    "jobs.batch": jobStrategy,
    "certificatesigningrequests.certificates.k8s.io": certificateSigningRequestStrategy,
    "tenants.capstan.dev": tenantStrategy(c.tenants),
    "endpointslices.discovery.k8s.io": endpointSliceStrategy,
    "leases.coordination.k8s.io": leaseStrategy,
    "flowschemas.flowcontrol.apiserver.k8s.io": flowSchemaStrategy,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": priorityLevelStrategy,
    "ingressclasses.networking.k8s.io": ingressClassStrategy,
    "ingresses.networking.k8s.io": ingressStrategy,
    "ipaddresses.networking.k8s.io": ipAddressStrategy,
    "networkpolicies.networking.k8s.io": networkPolicyStrategy,
    "servicecidrs.networking.k8s.io": serviceCIDRStrategy,
    "runtimeclasses.node.k8s.io": runtimeClassStrategy,
    "poddisruptionbudgets.policy": podDisruptionBudgetStrategy,
    "clusterrolebindings.rbac.authorization.k8s.io": bindingStrategy(c),
    "clusterroles.rbac.authorization.k8s.io": roleStrategy(c),
    "rolebindings.rbac.authorization.k8s.io": bindingStrategy(c),
    "roles.rbac.authorization.k8s.io": roleStrategy(c),
    "deviceclasses.resource.k8s.io": deviceClassStrategy,
    "resourceclaims.resource.k8s.io": resourceClaimStrategy,
    "resourceclaimtemplates.resource.k8s.io": resourceClaimTemplateStrategy,
    "resourceslices.resource.k8s.io": resourceSliceStrategy,
    "priorityclasses.scheduling.k8s.io": priorityClassStrategy,
    "podgroups.scheduling.k8s.io": podGroupStrategy(c.groupFeatures),
    "workloads.scheduling.k8s.io": workloadStrategy(c.groupFeatures),
    "csidrivers.storage.k8s.io": csiDriverStrategy,
    "csinodes.storage.k8s.io": csiNodeStrategy,
    "csistoragecapacities.storage.k8s.io": csiStorageCapacityStrategy,
    "storageclasses.storage.k8s.io": storageClassStrategy,
    "volumeattachments.storage.k8s.io": volumeAttachmentStrategy,
    "volumeattributesclasses.storage.k8s.io": volumeAttributesClassStrategy,
    "storageversionmigrations.storagemigration.k8s.io": storageVersionMigrationStrategy,
  };
}

export function strategies(config: ResourceConfig): (facts: ResourceFacts) => Strategy {
  const own = makers(config);
  return (facts) => {
    const strategy = (own[groupResource(facts.group, facts.resource)] ?? plainStrategy)(facts);
    return config.schedulingGroups ? keepingGroups(facts.group, facts.resource, strategy) : strategy;
  };
}
