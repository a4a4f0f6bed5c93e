/** What every control loop is given. All loops of one process share the informers; each has its own queue. */
import { type Log, messageOf } from "#platform/base/log.ts";
import type {
  CertificateSigningRequest,
  ClusterRole,
  ConfigMap,
  ControllerRevision,
  CronJob,
  CSIDriver,
  DaemonSet,
  Deployment,
  EndpointSlice,
  Endpoints,
  HorizontalPodAutoscaler,
  IPAddress,
  Job,
  Lease,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  ReplicaSet,
  ReplicationController,
  ResourceClaim,
  ResourceSlice,
  Secret,
  Service,
  ServiceAccount,
  ServiceCIDR,
  StatefulSet,
  StorageClass,
  ValidatingAdmissionPolicy,
  VolumeAttachment,
  VolumeAttributesClass,
} from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, type Informer, type InformerOptions, tenantOf, withoutManagedFields } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import { CLUSTER_INFO, TOKEN_NAMESPACE, TOKEN_TYPE } from "./bootstrap-tokens/tokens.ts";
import { controllerOf, namespaceKey } from "./objects.ts";
import * as r from "./resources.ts";
import { accountNameOf, TOKEN_SECRET_TYPE } from "./serviceaccount-token/reconcile.ts";

export interface Informers {
  pods(): Informer<Pod>;
  nodes(): Informer<Node>;
  services(): Informer<Service>;
  serviceCIDRs(): Informer<ServiceCIDR>;
  ipAddresses(): Informer<IPAddress>;
  endpointSlices(): Informer<EndpointSlice>;
  endpoints(): Informer<Endpoints>;
  deployments(): Informer<Deployment>;
  replicaSets(): Informer<ReplicaSet>;
  namespaces(): Informer<Namespace>;
  serviceAccounts(): Informer<ServiceAccount>;
  /** Only those named kube-root-ca.crt. */
  rootCAs(): Informer<ConfigMap>;
  /** Only those that are bootstrap tokens. */
  bootstrapTokens(): Informer<Secret>;
  /** Only those of service accounts' tokens; index "account": "tenant/namespace/name". */
  tokenSecrets(): Informer<Secret>;
  /** Only those named kube-public/cluster-info. */
  clusterInfos(): Informer<ConfigMap>;
  /** Without what they say: nobody here asks who holds one, only that it was written. */
  leases(): Informer<Lease>;
  replicationControllers(): Informer<ReplicationController>;
  statefulSets(): Informer<StatefulSet>;
  daemonSets(): Informer<DaemonSet>;
  controllerRevisions(): Informer<ControllerRevision>;
  jobs(): Informer<Job>;
  cronJobs(): Informer<CronJob>;
  disruptionBudgets(): Informer<PodDisruptionBudget>;
  resourceClaims(): Informer<ResourceClaim>;
  resourceSlices(): Informer<ResourceSlice>;
  /** Indexes "node" and "volume" ("tenant/name"). */
  volumeAttachments(): Informer<VolumeAttachment>;
  csiDrivers(): Informer<CSIDriver>;
  volumes(): Informer<PersistentVolume>;
  claims(): Informer<PersistentVolumeClaim>;
  storageClasses(): Informer<StorageClass>;
  volumeAttributesClasses(): Informer<VolumeAttributesClass>;
  clusterRoles(): Informer<ClusterRole>;
  certificateSigningRequests(): Informer<CertificateSigningRequest>;
  autoscalers(): Informer<HorizontalPodAutoscaler>;
  admissionPolicies(): Informer<ValidatingAdmissionPolicy>;
  /** The informer of all objects of a resource; undefined where loops read only some of them, or none. */
  of(resource: Pick<GroupVersionResource, "group" | "resource">): Informer<KubeObject> | undefined;
}

/** PEM: who signs a tenant's certificates. */
export interface SigningAuthority {
  certificate: string;
  /** PKCS#8, P-256. */
  key: string;
}

/** Whose token it is, and the secret that it lives in. */
export interface AccountTokenSubject {
  namespace: string;
  account: { name: string; uid: string };
  secret: string;
}

export interface ControllerContext {
  /** Reads through the wildcard; a loop writes by `clientOf(object)`. */
  client: Client;
  informers: Informers;
  recorder(component: string): Recorder;
  log: Log;
  /** Ends with this process's leadership. */
  signal: AbortSignal;
  /** The cluster authority's certificate, PEM, published to every namespace. */
  rootCA: string;
  /** Where services' addresses come from by default; none where this process makes no such range. */
  serviceCIDRs?: readonly string[];
  /** Where nodes' ranges of pod addresses come from; undefined where this process gives none. */
  podCIDRs?: readonly string[];
  /** Signs the token of a token secret, without an end. Undefined where this process signs none, or the tenant is gone. */
  accountToken?(tenant: string, subject: AccountTokenSubject): Promise<string | undefined>;
  /** Undefined where this process signs no certificates; answers undefined for a tenant that is gone. */
  authorityOf?(tenant: string): Promise<SigningAuthority | undefined>;
}

export interface Controller {
  name: string;
  /** Resolves once the signal has aborted and the last piece of work is over. */
  start(context: ControllerContext): Promise<void>;
}

export const clientFor = (context: ControllerContext, object: KubeObject): Client =>
  context.client.tenant(tenantOf(object));

export const ROOT_CA_NAME = "kube-root-ca.crt";

/** Indexes: "owner" (uid of the controller), "orphans" (tenant/namespace of those without), "namespace", "node", "service". */
const byOwner = (object: KubeObject): string[] => {
  const owner = controllerOf(object);
  return owner ? [owner.uid] : [];
};
const orphans = (object: KubeObject): string[] => (controllerOf(object) ? [] : [namespaceKey(object)]);
const byNamespace = (object: KubeObject): string[] => [namespaceKey(object)];

/** Each is started when first asked for, and ends with the signal. */
export function createInformers(client: Client, log: Log, signal: AbortSignal): Informers {
  const wildcard = client.tenant("*");
  const whole = new Map<string, () => Informer<KubeObject>>();
  const lazily = <T extends KubeObject>(resource: GroupVersionResource, options: InformerOptions<T> = {}) => {
    let informer: Informer<T> | undefined;
    const shared = () => {
      if (!informer) {
        informer = createInformer<T>(wildcard, resource, { transform: withoutManagedFields, ...options, log });
        informer
          .start(signal)
          .catch((error: unknown) =>
            log.error("an informer ended", { resource: resource.resource, error: messageOf(error) }),
          );
      }
      return informer;
    };
    if (!options.namespace && !options.fieldSelector)
      whole.set(r.keyOfResource(resource), shared as unknown as () => Informer<KubeObject>);
    return shared;
  };
  const owned = { owner: byOwner, orphans, namespace: byNamespace };
  return {
    pods: lazily<Pod>(r.PODS, {
      indexes: { ...owned, node: (pod) => (pod.spec?.nodeName ? [pod.spec.nodeName] : []) },
    }),
    nodes: lazily<Node>(r.NODES),
    admissionPolicies: lazily<ValidatingAdmissionPolicy>(r.VALIDATING_ADMISSION_POLICIES),
    services: lazily<Service>(r.SERVICES, {
      indexes: {
        namespace: byNamespace,
        address: (service) => (service.spec?.clusterIPs ?? []).map((address) => `${tenantOf(service)}/${address}`),
      },
    }),
    serviceCIDRs: lazily<ServiceCIDR>(r.SERVICE_CIDRS),
    ipAddresses: lazily<IPAddress>(r.IP_ADDRESSES),
    endpointSlices: lazily<EndpointSlice>(r.ENDPOINT_SLICES, { indexes: { service: serviceOfSlice } }),
    endpoints: lazily<Endpoints>(r.ENDPOINTS),
    deployments: lazily<Deployment>(r.DEPLOYMENTS, { indexes: { namespace: byNamespace } }),
    replicaSets: lazily<ReplicaSet>(r.REPLICA_SETS, { indexes: owned }),
    namespaces: lazily<Namespace>(r.NAMESPACES),
    serviceAccounts: lazily<ServiceAccount>(r.SERVICE_ACCOUNTS),
    rootCAs: lazily<ConfigMap>(r.CONFIGMAPS, { fieldSelector: `metadata.name=${ROOT_CA_NAME}` }),
    bootstrapTokens: lazily<Secret>(r.SECRETS, {
      namespace: TOKEN_NAMESPACE,
      fieldSelector: `type=${TOKEN_TYPE}`,
    }),
    tokenSecrets: lazily<Secret>(r.SECRETS, {
      fieldSelector: `type=${TOKEN_SECRET_TYPE}`,
      indexes: { account: (secret) => [`${namespaceKey(secret)}/${accountNameOf(secret)}`] },
    }),
    clusterInfos: lazily<ConfigMap>(r.CONFIGMAPS, {
      namespace: CLUSTER_INFO.namespace,
      fieldSelector: `metadata.name=${CLUSTER_INFO.name}`,
    }),
    leases: lazily<Lease>(r.LEASES, { transform: ({ spec: _, ...lease }) => withoutManagedFields(lease) }),
    replicationControllers: lazily<ReplicationController>(r.REPLICATION_CONTROLLERS, {
      indexes: { namespace: byNamespace },
    }),
    statefulSets: lazily<StatefulSet>(r.STATEFUL_SETS, { indexes: { namespace: byNamespace } }),
    daemonSets: lazily<DaemonSet>(r.DAEMON_SETS, { indexes: { namespace: byNamespace } }),
    controllerRevisions: lazily<ControllerRevision>(r.CONTROLLER_REVISIONS, { indexes: owned }),
    jobs: lazily<Job>(r.JOBS, { indexes: owned }),
    cronJobs: lazily<CronJob>(r.CRON_JOBS),
    disruptionBudgets: lazily<PodDisruptionBudget>(r.POD_DISRUPTION_BUDGETS, { indexes: { namespace: byNamespace } }),
    resourceClaims: lazily<ResourceClaim>(r.RESOURCE_CLAIMS, { indexes: { namespace: byNamespace } }),
    resourceSlices: lazily<ResourceSlice>(r.RESOURCE_SLICES),
    volumeAttachments: lazily<VolumeAttachment>(r.VOLUME_ATTACHMENTS, {
      indexes: {
        node: (attachment) => [attachment.spec.nodeName],
        volume: (attachment) => [`${tenantOf(attachment)}/${attachment.spec.source.persistentVolumeName ?? ""}`],
      },
    }),
    csiDrivers: lazily<CSIDriver>(r.CSI_DRIVERS),
    volumes: lazily<PersistentVolume>(r.PERSISTENT_VOLUMES),
    claims: lazily<PersistentVolumeClaim>(r.PERSISTENT_VOLUME_CLAIMS, { indexes: { namespace: byNamespace } }),
    storageClasses: lazily<StorageClass>(r.STORAGE_CLASSES),
    volumeAttributesClasses: lazily<VolumeAttributesClass>(r.VOLUME_ATTRIBUTES_CLASSES),
    clusterRoles: lazily<ClusterRole>(r.CLUSTER_ROLES),
    certificateSigningRequests: lazily<CertificateSigningRequest>(r.CERTIFICATE_SIGNING_REQUESTS),
    autoscalers: lazily<HorizontalPodAutoscaler>(r.HORIZONTAL_POD_AUTOSCALERS),
    of: (resource) => whole.get(r.keyOfResource(resource))?.(),
  };
}

function serviceOfSlice(slice: EndpointSlice): string[] {
  const service = slice.metadata.labels?.["kubernetes.io/service-name"];
  return service ? [`${namespaceKey(slice)}/${service}`] : [];
}

/** Resolves when all have their first list; false when the signal ended it first. */
export async function synced(signal: AbortSignal, ...informers: { synced(): boolean }[]): Promise<boolean> {
  for (;;) {
    if (signal.aborted) return false;
    if (informers.every((i) => i.synced())) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
