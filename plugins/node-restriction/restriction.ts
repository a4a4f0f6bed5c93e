/** What a node may change: pure (upstream: plugin/pkg/admission/noderestriction, in its words). */
import type { Node, Pod, TokenRequest } from "#sdk/api/generated/types.ts";
import { apiReference } from "./mirror.ts";

const USER_PREFIX = "system:node:";
const MIRROR = "kubernetes.io/config.mirror";
const LEASES_NAMESPACE = "kube-node-lease";

/** What NodeRestriction looks at of any object: the manifest's projection. */
export type Seen = Partial<Pick<Pod, "metadata" | "spec">> & { status?: Readonly<Record<string, unknown>> };

export interface Question {
  user: string;
  operation: string;
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
  object: Seen | undefined;
  before: Seen | undefined;
  /** The pod that an eviction or a token names, where it is there. */
  pod: Pod | undefined;
  /** The node that a new pod names. */
  node: Node | undefined;
}

/** Key order does not matter. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  const [x, y] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = new Set([...Object.keys(x), ...Object.keys(y)]);
  return Array.isArray(a) === Array.isArray(b) && [...keys].every((key) => isSame(x[key], y[key]));
}
/** An empty list or map is none. */
const orNone = (value: object | undefined): object | undefined =>
  value === undefined || Object.keys(value).length === 0 ? undefined : value;

/** Why not; undefined when the node may. */
export function refusal(question: Question): string | undefined {
  if (!question.user.startsWith(USER_PREFIX) || question.user === USER_PREFIX)
    return `could not determine node from user ${JSON.stringify(question.user)}`;
  const node = question.user.slice(USER_PREFIX.length);
  switch (question.resource) {
    case "pods":
      return podRefusal(node, question);
    case "nodes":
      return nodeRefusal(node, question);
    case "persistentvolumeclaims":
      return question.subresource === "status" ? claimRefusal(node, question) : "may only update PVC status";
    case "serviceaccounts":
      return tokenRefusal(node, question);
    case "leases":
      if (question.namespace !== LEASES_NAMESPACE)
        return `can only access leases in the "${LEASES_NAMESPACE}" system namespace`;
      return question.name === node
        ? undefined
        : "can only access node lease with the same name as the requesting node";
    case "csinodes":
      return question.name === node ? undefined : "can only access CSINode with the same name as the requesting node";
    case "resourceslices":
      return sliceRefusal(node, question);
    default:
      return undefined;
  }
}

function podRefusal(node: string, question: Question): string | undefined {
  const { operation, subresource, before, pod } = question;
  if (subresource === "status") return statusRefusal(node, question);
  if (subresource === "eviction") {
    const isOthers = pod !== undefined && pod.spec?.nodeName !== node;
    return isOthers ? `node ${node} can only evict pods with spec.nodeName set to itself` : undefined;
  }
  if (subresource !== "")
    return `unexpected pod subresource ${JSON.stringify(subresource)}, only 'status' and 'eviction' are allowed`;
  if (operation === "CREATE") return mirrorRefusal(node, question);
  if (operation === "DELETE") {
    const isOwn = before?.spec?.nodeName === node;
    return isOwn ? undefined : `node "${node}" can only delete pods with spec.nodeName set to itself`;
  }
  return `unexpected operation "${operation}", node "${node}" can only create and delete mirror pods`;
}

function mirrorRefusal(node: string, { object, node: stored }: Question): string | undefined {
  const { metadata, spec } = object ?? {};
  if (metadata?.annotations?.[MIRROR] === undefined)
    return `pod does not have "${MIRROR}" annotation, node "${node}" can only create mirror pods`;
  const only = `node "${node}" can only create pods with`;
  if (spec?.nodeName !== node) return `${only} spec.nodeName set to itself`;
  const [owner, ...others] = metadata.ownerReferences ?? [];
  if (others.length > 0) return `${only} a single owner reference set to itself`;
  if (owner?.apiVersion !== "v1" || owner.kind !== "Node" || owner.name !== node)
    return `${only} an owner reference set to itself`;
  if (!owner.controller) return `${only} a controller owner reference set to itself`;
  if (owner.blockOwnerDeletion) return `node "${node}" must not set blockOwnerDeletion on an owner reference`;
  if (owner.uid !== stored?.metadata.uid)
    return `node ${node} UID mismatch: expected ${owner.uid} got ${stored?.metadata.uid ?? ""}`;
  const what = apiReference(spec);
  return what === undefined ? undefined : `node "${node}" can not create pods that reference ${what}`;
}

function statusRefusal(node: string, { object, before }: Question): string | undefined {
  if (before?.spec?.nodeName !== node)
    return `node "${node}" can only update pod status for pods with spec.nodeName set to itself`;
  if (!isSame(orNone(before.metadata?.labels), orNone(object?.metadata?.labels)))
    return `node "${node}" cannot update labels through pod status`;
  const [was, is] = [before.status ?? {}, object?.status ?? {}];
  if (!isSame(was["resourceClaimStatuses"] ?? [], is["resourceClaimStatuses"] ?? []))
    return `node "${node}" cannot update resource claim statues`;
  if (!isSame(was["extendedResourceClaimStatus"], is["extendedResourceClaimStatus"]))
    return `node "${node}" cannot update extended resource claim status`;
  return undefined;
}

const OWN_LABELS = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/instance-type",
  "node.kubernetes.io/instance-type",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
]);
const isIn = (namespace: string, parent: string) => namespace === parent || namespace.endsWith(`.${parent}`);

/** Of labels that a node sets on itself, those that decide what may run on it are not its own. */
function isForbiddenLabel(label: string): boolean {
  const namespace = label.includes("/") ? label.slice(0, label.indexOf("/")) : "";
  if (isIn(namespace, "node-restriction.kubernetes.io")) return true;
  const isKubernetes = isIn(namespace, "kubernetes.io") || isIn(namespace, "k8s.io");
  const isOwn =
    OWN_LABELS.has(label) || isIn(namespace, "kubelet.kubernetes.io") || isIn(namespace, "node.kubernetes.io");
  return isKubernetes && !isOwn;
}

function forbiddenLabels(now: Seen | undefined, before: Seen | undefined): string {
  const [is, was] = [now?.metadata?.labels ?? {}, before?.metadata?.labels ?? {}];
  const changed = Object.keys({ ...was, ...is }).filter((key) => is[key] !== was[key]);
  return changed.filter(isForbiddenLabel).sort().join(", ");
}

function nodeRefusal(node: string, { operation, name, object, before }: Question): string | undefined {
  const { metadata, spec } = (object ?? {}) as Partial<Node>;
  const old = (before ?? {}) as Partial<Node>;
  if (name !== node) return `node "${node}" is not allowed to modify node ${JSON.stringify(name)}`;
  const labels = operation === "DELETE" ? "" : forbiddenLabels(object, before);
  if (operation === "CREATE") {
    if (spec?.configSource) return `node "${node}" is not allowed to create pods with a non-nil configSource`;
    return labels === "" ? undefined : `node "${node}" is not allowed to set the following labels: ${labels}`;
  }
  if (operation !== "UPDATE") return undefined;
  if (spec?.configSource && !isSame(spec.configSource, old.spec?.configSource))
    return `node "${node}" is not allowed to update configSource to a new non-nil configSource`;
  if (!isSame(orNone(spec?.taints), orNone(old.spec?.taints))) return `node "${node}" is not allowed to modify taints`;
  if (!isSame(orNone(metadata?.ownerReferences), orNone(old.metadata?.ownerReferences)))
    return `node "${node}" is not allowed to modify ownerReferences`;
  return labels === "" ? undefined : `is not allowed to modify labels: ${labels}`;
}

/** Capacity and conditions are the node's to write; the projection has what is not. */
function claimRefusal(node: string, { operation, object, before }: Question): string | undefined {
  if (operation !== "UPDATE") return `unexpected operation "${operation}"`;
  const parts = ["metadata", "spec", "status"] as const;
  const changed = parts.filter((part) => !isSame(object?.[part], before?.[part]));
  if (changed.length === 0) return undefined;
  const what = "is not allowed to update fields other than status.quantity and status.conditions";
  return `node "${node}" ${what}: ${changed.join(", ")}`;
}

function tokenRefusal(node: string, { operation, subresource, object, pod }: Question): string | undefined {
  if (operation !== "CREATE" || subresource !== "token") return undefined;
  const { boundObjectRef: ref, audiences = [] } = (object as unknown as TokenRequest | undefined)?.spec ?? {};
  if (ref?.apiVersion !== "v1" || ref.kind !== "Pod" || !ref.name) return "node requested token not bound to a pod";
  if (!ref.uid) return "node requested token with a pod binding without a uid";
  if (!pod) return `pods ${JSON.stringify(ref.name)} not found`;
  if (ref.uid !== pod.metadata.uid)
    return `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`;
  if (pod.spec?.nodeName !== node) return "node requested token bound to a pod scheduled on a different node";
  return audiences.length > 1 ? "node may only request 0 or 1 audiences" : undefined;
}

function sliceRefusal(node: string, { operation, object, before }: Question): string | undefined {
  const slice = operation === "CREATE" ? object : before;
  if (slice?.spec?.nodeName === node) return undefined;
  const verb = operation === "CREATE" ? "create" : "delete";
  return `can only ${verb} ResourceSlice with the same NodeName as the requesting node`;
}
