/**
 * How often the original checks an object's metadata on an update. The generic registry checks it once, whole and for what changed; most
 * kinds' own validators then do so again, whole, for the change, or both, and every check adds its causes to the Status. A client that
 * counts or shows causes sees them all, so they are told here as often. Found by asking kube-apiserver 1.36 for each kind.
 */
type Check = "whole" | "change";

const CHANGE: readonly Check[] = ["change"];
const WHOLE: readonly Check[] = ["whole"];
const BOTH: readonly Check[] = ["change", "whole"];
const NONE: readonly Check[] = [];

/** Kinds that are not here check the change once more. */
const ON_UPDATE: Readonly<Record<string, readonly Check[]>> = {
  "/configmaps": BOTH,
  "/endpoints": BOTH,
  "/events": NONE,
  "/limitranges": WHOLE,
  "/namespaces": BOTH,
  "/nodes": BOTH,
  "/persistentvolumeclaims": BOTH,
  "/persistentvolumes": ["whole", "whole"],
  "/pods": BOTH,
  "/secrets": BOTH,
  "/serviceaccounts": BOTH,
  "admissionregistration.k8s.io/mutatingadmissionpolicies": WHOLE,
  "admissionregistration.k8s.io/mutatingadmissionpolicybindings": WHOLE,
  "admissionregistration.k8s.io/mutatingwebhookconfigurations": WHOLE,
  "admissionregistration.k8s.io/validatingadmissionpolicies": WHOLE,
  "admissionregistration.k8s.io/validatingadmissionpolicybindings": WHOLE,
  "admissionregistration.k8s.io/validatingwebhookconfigurations": WHOLE,
  "apiregistration.k8s.io/apiservices": BOTH,
  "apps/controllerrevisions": BOTH,
  "batch/jobs": BOTH,
  "certificates.k8s.io/certificatesigningrequests": BOTH,
  "discovery.k8s.io/endpointslices": WHOLE,
  "flowcontrol.apiserver.k8s.io/flowschemas": WHOLE,
  "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations": WHOLE,
  "networking.k8s.io/ingressclasses": BOTH,
  "networking.k8s.io/ingresses": BOTH,
  "networking.k8s.io/ipaddresses": BOTH,
  "node.k8s.io/runtimeclasses": BOTH,
  "policy/poddisruptionbudgets": NONE,
  "rbac.authorization.k8s.io/clusterrolebindings": BOTH,
  "rbac.authorization.k8s.io/clusterroles": BOTH,
  "rbac.authorization.k8s.io/rolebindings": BOTH,
  "rbac.authorization.k8s.io/roles": BOTH,
  "resource.k8s.io/deviceclasses": BOTH,
  "resource.k8s.io/resourceclaims": BOTH,
  "resource.k8s.io/resourceclaimtemplates": BOTH,
  "storage.k8s.io/csinodes": WHOLE,
  "storage.k8s.io/csistoragecapacities": BOTH,
  "storage.k8s.io/storageclasses": BOTH,
  "storage.k8s.io/volumeattachments": WHOLE,
  "storage.k8s.io/volumeattributesclasses": BOTH,
};

/** Kinds whose own validator leaves new metadata alone: the generic registry looks at it when they have found nothing wrong. */
const NOT_ON_CREATE: ReadonlySet<string> = new Set(["/events", "policy/poddisruptionbudgets"]);

/** Kinds whose finalizers may be any qualified name; the others' names are qualified by a domain or standard. */
const ANY_FINALIZER: ReadonlySet<string> = new Set([
  "/events",
  "apiextensions.k8s.io/customresourcedefinitions",
  "apiregistration.k8s.io/apiservices",
  "coordination.k8s.io/leases",
  "node.k8s.io/runtimeclasses",
  "policy/poddisruptionbudgets",
]);
const ANY_FINALIZER_GROUPS: ReadonlySet<string> = new Set(["admissionregistration.k8s.io"]);

interface Named {
  group: string;
  resource: string;
}

const nameOf = ({ group, resource }: Named): string => `${group}/${resource}`;

/** What a kind's own validator checks again on an update; a view's (status) checks the change. */
export const checksOnUpdate = (kind: Named, view: boolean): readonly Check[] =>
  view ? CHANGE : (ON_UPDATE[nameOf(kind)] ?? CHANGE);

/** Whether what is wrong with a new object's metadata is told together with the rest. */
export const checksOnCreate = (kind: Named): boolean => !NOT_ON_CREATE.has(nameOf(kind));

/** Built-in kinds of which core's finalizer rule holds; custom resources have the generic one. */
export const wantsKnownFinalizers = (kind: Named, builtIn: boolean): boolean =>
  builtIn && !ANY_FINALIZER.has(nameOf(kind)) && !ANY_FINALIZER_GROUPS.has(kind.group);
