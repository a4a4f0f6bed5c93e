/** The least valid object of each kind that clients write; mutations start from these. */
import type { JsonObject } from "#sdk/api/object.ts";

export interface Sample {
  group: string;
  version: string;
  resource: string;
  kind: string;
  namespaced: boolean;
  body: JsonObject;
}

const labels = { app: "a" };
const selector = { matchLabels: labels };
const podSpec = { containers: [{ name: "c", image: "example.org/c:1" }] };
const template = { metadata: { labels }, spec: podSpec };
const jobTemplate = { metadata: { labels }, spec: { ...podSpec, restartPolicy: "Never" } };

type Row = [group: string, version: string, resource: string, kind: string, namespaced: boolean, body: JsonObject];

const rows: readonly Row[] = [
  ["", "v1", "configmaps", "ConfigMap", true, { data: { a: "b" } }],
  ["", "v1", "secrets", "Secret", true, { data: { a: "Yg==" } }],
  ["", "v1", "pods", "Pod", true, { spec: podSpec }],
  ["", "v1", "podtemplates", "PodTemplate", true, { template }],
  ["", "v1", "services", "Service", true, { spec: { selector: labels, ports: [{ port: 80 }] } }],
  ["", "v1", "endpoints", "Endpoints", true, { subsets: [{ addresses: [{ ip: "10.1.2.3" }], ports: [{ port: 80 }] }] }],
  ["", "v1", "serviceaccounts", "ServiceAccount", true, {}],
  ["", "v1", "limitranges", "LimitRange", true, { spec: { limits: [{ type: "Container", default: { cpu: "1" } }] } }],
  ["", "v1", "resourcequotas", "ResourceQuota", true, { spec: { hard: { secrets: "100" } } }],
  [
    "",
    "v1",
    "replicationcontrollers",
    "ReplicationController",
    true,
    { spec: { replicas: 0, selector: labels, template } },
  ],
  ["", "v1", "events", "Event", true, { involvedObject: { namespace: "diff" }, reason: "Because", message: "so" }],
  [
    "",
    "v1",
    "persistentvolumeclaims",
    "PersistentVolumeClaim",
    true,
    {
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    },
  ],
  [
    "",
    "v1",
    "persistentvolumes",
    "PersistentVolume",
    false,
    {
      spec: { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"], hostPath: { path: "/tmp/x" } },
    },
  ],
  ["", "v1", "namespaces", "Namespace", false, {}],
  ["", "v1", "nodes", "Node", false, {}],
  ["apps", "v1", "deployments", "Deployment", true, { spec: { replicas: 0, selector, template } }],
  ["apps", "v1", "replicasets", "ReplicaSet", true, { spec: { replicas: 0, selector, template } }],
  ["apps", "v1", "statefulsets", "StatefulSet", true, { spec: { replicas: 0, serviceName: "s", selector, template } }],
  ["apps", "v1", "daemonsets", "DaemonSet", true, { spec: { selector, template } }],
  ["apps", "v1", "controllerrevisions", "ControllerRevision", true, { revision: 1, data: { a: 1 } }],
  ["batch", "v1", "jobs", "Job", true, { spec: { template: jobTemplate } }],
  [
    "batch",
    "v1",
    "cronjobs",
    "CronJob",
    true,
    { spec: { schedule: "* * * * *", jobTemplate: { spec: { template: jobTemplate } } } },
  ],
  [
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    true,
    {
      spec: { maxReplicas: 3, scaleTargetRef: { kind: "Deployment", name: "d", apiVersion: "apps/v1" } },
    },
  ],
  [
    "autoscaling",
    "v1",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    true,
    {
      spec: { maxReplicas: 3, targetCPUUtilizationPercentage: 50, scaleTargetRef: { kind: "Deployment", name: "d" } },
    },
  ],
  ["policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true, { spec: { minAvailable: 1, selector } }],
  [
    "networking.k8s.io",
    "v1",
    "ingresses",
    "Ingress",
    true,
    {
      spec: { defaultBackend: { service: { name: "s", port: { number: 80 } } } },
    },
  ],
  ["networking.k8s.io", "v1", "ingressclasses", "IngressClass", false, { spec: { controller: "example.org/c" } }],
  ["networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true, { spec: { podSelector: selector } }],
  ["networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", false, { spec: { cidrs: ["10.77.0.0/24"] } }],
  [
    "networking.k8s.io",
    "v1",
    "ipaddresses",
    "IPAddress",
    false,
    {
      metadata: { name: "10.77.1.9" },
      spec: { parentRef: { resource: "services", namespace: "diff", name: "s" } },
    },
  ],
  [
    "discovery.k8s.io",
    "v1",
    "endpointslices",
    "EndpointSlice",
    true,
    {
      addressType: "IPv4",
      endpoints: [{ addresses: ["10.1.2.3"] }],
      ports: [{ name: "p", port: 80 }],
    },
  ],
  ["coordination.k8s.io", "v1", "leases", "Lease", true, { spec: { holderIdentity: "me", leaseDurationSeconds: 15 } }],
  [
    "rbac.authorization.k8s.io",
    "v1",
    "roles",
    "Role",
    true,
    {
      rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }],
    },
  ],
  [
    "rbac.authorization.k8s.io",
    "v1",
    "clusterroles",
    "ClusterRole",
    false,
    {
      rules: [{ nonResourceURLs: ["/x"], verbs: ["get"] }],
    },
  ],
  [
    "rbac.authorization.k8s.io",
    "v1",
    "rolebindings",
    "RoleBinding",
    true,
    {
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "r" },
      subjects: [{ kind: "User", name: "u" }],
    },
  ],
  [
    "rbac.authorization.k8s.io",
    "v1",
    "clusterrolebindings",
    "ClusterRoleBinding",
    false,
    {
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
      subjects: [{ kind: "ServiceAccount", name: "u", namespace: "diff" }],
    },
  ],
  ["storage.k8s.io", "v1", "storageclasses", "StorageClass", false, { provisioner: "example.org/p" }],
  ["storage.k8s.io", "v1", "csidrivers", "CSIDriver", false, { spec: { attachRequired: false } }],
  [
    "storage.k8s.io",
    "v1",
    "csinodes",
    "CSINode",
    false,
    { spec: { drivers: [{ name: "d.example.org", nodeID: "n" }] } },
  ],
  [
    "storage.k8s.io",
    "v1",
    "csistoragecapacities",
    "CSIStorageCapacity",
    true,
    { storageClassName: "fast", capacity: "1Gi" },
  ],
  [
    "storage.k8s.io",
    "v1",
    "volumeattachments",
    "VolumeAttachment",
    false,
    {
      spec: { attacher: "d.example.org", nodeName: "n", source: { persistentVolumeName: "pv" } },
    },
  ],
  [
    "storage.k8s.io",
    "v1",
    "volumeattributesclasses",
    "VolumeAttributesClass",
    false,
    {
      driverName: "d.example.org",
      parameters: { a: "b" },
    },
  ],
  ["scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", false, { value: 7 }],
  ["node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", false, { handler: "h" }],
  [
    "flowcontrol.apiserver.k8s.io",
    "v1",
    "flowschemas",
    "FlowSchema",
    false,
    {
      spec: { priorityLevelConfiguration: { name: "global-default" }, matchingPrecedence: 900 },
    },
  ],
  [
    "flowcontrol.apiserver.k8s.io",
    "v1",
    "prioritylevelconfigurations",
    "PriorityLevelConfiguration",
    false,
    {
      spec: { type: "Limited", limited: { nominalConcurrencyShares: 5, limitResponse: { type: "Reject" } } },
    },
  ],
  [
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    false,
    {
      webhooks: [
        {
          name: "a.example.org",
          clientConfig: { url: "https://x.example.org/" },
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
        },
      ],
    },
  ],
  [
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    false,
    {
      webhooks: [
        {
          name: "a.example.org",
          clientConfig: { url: "https://x.example.org/" },
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
        },
      ],
    },
  ],
  [
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    false,
    {
      spec: {
        matchConstraints: {
          resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["nothing"] }],
        },
        validations: [{ expression: "true" }],
      },
    },
  ],
  [
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    false,
    {
      spec: { policyName: "p", validationActions: ["Audit"] },
    },
  ],
  [
    "certificates.k8s.io",
    "v1",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    false,
    {
      spec: { request: "eA==", signerName: "example.org/s", usages: ["client auth"] },
    },
  ],
  [
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    false,
    {
      metadata: { name: "things.example.org" },
      spec: {
        group: "example.org",
        scope: "Namespaced",
        names: { plural: "things", kind: "Thing" },
        versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
      },
    },
  ],
  [
    "apiregistration.k8s.io",
    "v1",
    "apiservices",
    "APIService",
    false,
    {
      metadata: { name: "v1.far.example.org" },
      spec: {
        group: "far.example.org",
        version: "v1",
        groupPriorityMinimum: 100,
        versionPriority: 10,
        service: { namespace: "diff", name: "s" },
        insecureSkipTLSVerify: true,
      },
    },
  ],
  [
    "resource.k8s.io",
    "v1",
    "deviceclasses",
    "DeviceClass",
    false,
    { spec: { selectors: [{ cel: { expression: "true" } }] } },
  ],
  [
    "resource.k8s.io",
    "v1",
    "resourceclaims",
    "ResourceClaim",
    true,
    {
      spec: { devices: { requests: [{ name: "r", exactly: { deviceClassName: "d.example.org" } }] } },
    },
  ],
  [
    "resource.k8s.io",
    "v1",
    "resourceclaimtemplates",
    "ResourceClaimTemplate",
    true,
    {
      spec: { spec: { devices: { requests: [{ name: "r", exactly: { deviceClassName: "d.example.org" } }] } } },
    },
  ],
  [
    "resource.k8s.io",
    "v1",
    "resourceslices",
    "ResourceSlice",
    false,
    {
      spec: {
        driver: "d.example.org",
        nodeName: "n",
        pool: { name: "p", generation: 1, resourceSliceCount: 1 },
        devices: [{ name: "x" }],
      },
    },
  ],
  [
    "events.k8s.io",
    "v1",
    "events",
    "Event",
    true,
    {
      eventTime: "2026-01-01T00:00:00.000000Z",
      reportingController: "example.org/c",
      reportingInstance: "c-1",
      action: "Do",
      reason: "Because",
      type: "Normal",
      regarding: { namespace: "diff" },
    },
  ],
  [
    "authorization.k8s.io",
    "v1",
    "subjectaccessreviews",
    "SubjectAccessReview",
    false,
    {
      spec: { user: "u", resourceAttributes: { verb: "get", resource: "pods" } },
    },
  ],
];

export const samples: readonly Sample[] = rows.map(([group, version, resource, kind, namespaced, body]) => ({
  group,
  version,
  resource,
  kind,
  namespaced,
  body,
}));
