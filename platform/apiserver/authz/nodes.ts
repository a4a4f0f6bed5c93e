/**
 * The node authorizer: a node agent (`system:node:NAME` in `system:nodes`, of root) reads and reports on its own pods, of whatever tenant, and
 * reads by name what they reference; nothing else (upstream's plugin/pkg/auth/authorizer/node, over tenants).
 */

import { ALL_TENANTS, ROOT_TENANT, type Store, type TenantId } from "#platform/store/port.ts";
import { parseFieldSelector, requiredValue } from "#sdk/api/fields.ts";
import type { CSIPersistentVolumeSource, PodSpec, PodStatus } from "#sdk/api/generated/types.ts";
import { type AuthorizationAttributes, type Authorizer, type Decision, noRules } from "./authorizer.ts";

const ALLOW: Decision = { decision: "allow", reason: "" };
const noOpinion = (reason: string): Decision => ({ decision: "noOpinion", reason });
const PREFIX = "system:node:";

export function nodeName(user: { tenant: TenantId; name: string; groups: readonly string[] }): string | undefined {
  const isNode = user.tenant === ROOT_TENANT && user.groups.includes("system:nodes") && user.name.startsWith(PREFIX);
  return isNode ? user.name.slice(PREFIX.length) : undefined;
}

const isOwnSelection = (node: string, fieldSelector = ""): boolean =>
  requiredValue(parseFieldSelector(fieldSelector), "spec.nodeName") === node;

/** Whether a node reads over pods that are not its own. */
export function readsOthersPods(user: Parameters<typeof nodeName>[0], fieldSelector: string | undefined): boolean {
  const node = nodeName(user);
  return node !== undefined && !isOwnSelection(node, fieldSelector);
}

type Resource = NonNullable<AuthorizationAttributes["resource"]>;

const READ = new Set(["get", "list", "watch"]);
/** Read whole, in any tenant: what routing and volumes need. */
const OPEN = new Set([
  "services",
  "endpointslices.discovery.k8s.io",
  "networkpolicies.networking.k8s.io",
  "namespaces",
  "runtimeclasses.node.k8s.io",
  "csidrivers.storage.k8s.io",
  "storageclasses.storage.k8s.io",
  "tenants.capstan.dev",
  "plugins.capstan.dev",
]);

const CSI_NODE_VERBS = new Set(["create", "get", "update", "patch", "delete"]);

const SLICE_VERBS = new Set(["list", "watch", "deletecollection"]);

const CLAIM_STATUS_VERBS = new Set(["get", "update", "patch"]);

const REFERENCED = new Set([
  "secrets",
  "configmaps",
  "persistentvolumeclaims",
  "serviceaccounts",
  "resourceclaims.resource.k8s.io",
]);

/** Names, by kind, that a pod's spec mentions; the claims of its ephemeral volumes are named after the pod. */
export function references(spec: PodSpec, podName: string, status?: PodStatus): Record<string, Set<string>> {
  const found = {
    secrets: new Set<string>(),
    configmaps: new Set<string>(),
    persistentvolumeclaims: new Set<string>(),
    serviceaccounts: new Set<string>(),
    resourceclaims: new Set<string>(),
  };
  const add = (kind: keyof typeof found, name: string | undefined) => {
    if (name) found[kind].add(name);
  };
  add("serviceaccounts", spec.serviceAccountName);
  for (const { resourceClaimName } of [...(spec.resourceClaims ?? []), ...(status?.resourceClaimStatuses ?? [])])
    add("resourceclaims", resourceClaimName);
  add("resourceclaims", status?.extendedResourceClaimStatus?.resourceClaimName);
  for (const s of spec.imagePullSecrets ?? []) add("secrets", s.name);
  for (const v of spec.volumes ?? []) {
    add("secrets", v.secret?.secretName);
    add("configmaps", v.configMap?.name);
    add("persistentvolumeclaims", v.persistentVolumeClaim?.claimName);
    if (v.ephemeral) add("persistentvolumeclaims", `${podName}-${v.name}`);
    add("secrets", v.csi?.nodePublishSecretRef?.name);
    for (const source of v.projected?.sources ?? []) {
      add("secrets", source.secret?.name);
      add("configmaps", source.configMap?.name);
    }
  }
  for (const c of [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])]) {
    for (const e of c.envFrom ?? []) {
      add("secrets", e.secretRef?.name);
      add("configmaps", e.configMapRef?.name);
    }
    for (const { valueFrom } of c.env ?? []) {
      add("secrets", valueFrom?.secretKeyRef?.name);
      add("configmaps", valueFrom?.configMapKeyRef?.name);
    }
  }
  return found;
}

export function nodeAuthorizer(store: Store): Authorizer {
  async function podsOf(node: string, tenant: TenantId | "*", namespace: string) {
    const scope = { tenant, resource: "pods", ...(namespace ? { namespace } : {}) };
    const matcher = (o: { fields: Readonly<Record<string, string>> }) => o.fields["spec.nodeName"] === node;
    const { objects } = await store.list({ scope, freshness: { type: "atLeast", revision: 0 }, matcher });
    return objects;
  }

  async function isOwnPod(node: string, tenant: TenantId | "*", { namespace, name }: Resource): Promise<boolean> {
    if (tenant === "*") return false;
    const key = { tenant, resource: "pods", namespace, name };
    const cached = await store.get(key, { type: "atLeast", revision: 0 });
    if (cached?.fields["spec.nodeName"] === node) return true;
    return (await store.get(key, { type: "consistent" }))?.fields["spec.nodeName"] === node;
  }

  async function isReferenced(node: string, a: AuthorizationAttributes, r: Resource): Promise<boolean> {
    const tenants = a.tenant === "*" ? ALL_TENANTS : a.tenant;
    for (const pod of await podsOf(node, tenants, r.namespace)) {
      const { metadata, spec, status } = JSON.parse(pod.document) as {
        metadata: { name: string };
        spec: PodSpec;
        status?: PodStatus;
      };
      if (references(spec, metadata.name, status)[r.resource]?.has(r.name)) return true;
    }
    return false;
  }

  async function read<T>(a: AuthorizationAttributes, resource: string, name: string): Promise<T | undefined> {
    if (a.tenant === "*") return undefined;
    const stored = await store.get({ tenant: a.tenant, resource, namespace: "", name }, { type: "consistent" });
    return stored && (JSON.parse(stored.document) as T);
  }

  /** A secret that a driver is handed for a volume that one of the node's pods claims. */
  async function isVolumesSecret(node: string, a: AuthorizationAttributes, r: Resource): Promise<boolean> {
    if (a.tenant === "*") return false;
    const { objects } = await store.list({
      scope: { tenant: a.tenant, resource: "persistentvolumes" },
      freshness: { type: "atLeast", revision: 0 },
    });
    for (const { document, key } of objects) {
      const { csi } = (JSON.parse(document) as { spec?: { csi?: CSIPersistentVolumeSource } }).spec ?? {};
      const refs = [csi?.nodeStageSecretRef, csi?.nodePublishSecretRef, csi?.nodeExpandSecretRef];
      if (!refs.some((ref) => ref?.namespace === r.namespace && ref.name === r.name)) continue;
      if (await isClaimed(node, a, { ...r, name: key.name })) return true;
    }
    return false;
  }

  async function isAttachedHere(node: string, a: AuthorizationAttributes, r: Resource): Promise<boolean> {
    const found = await read<{ spec?: { nodeName?: string } }>(a, "volumeattachments.storage.k8s.io", r.name);
    return found?.spec?.nodeName === node;
  }

  /** A volume is its pod's by way of the claim that it is bound to. */
  async function isClaimed(node: string, a: AuthorizationAttributes, r: Resource): Promise<boolean> {
    const { spec } =
      (await read<{ spec?: { claimRef?: { namespace?: string; name?: string } } }>(a, "persistentvolumes", r.name)) ??
      {};
    const { namespace, name } = spec?.claimRef ?? {};
    if (!namespace || !name) return false;
    return await isReferenced(node, a, { ...r, resource: "persistentvolumeclaims", namespace, name });
  }

  async function pods(node: string, a: AuthorizationAttributes, r: Resource): Promise<Decision> {
    if (r.subresource === "" && (a.verb === "list" || a.verb === "watch")) {
      // Of everybody's pods it is shown what its network needs (http/shared.ts).
      return isOwnSelection(node, a.fieldSelector) || a.tenant === "*"
        ? ALLOW
        : noOpinion("can only list/watch pods with spec.nodeName field selector");
    }
    if (r.subresource === "" && a.verb === "create") return a.tenant === ROOT_TENANT ? ALLOW : noOpinion("");
    const allowed =
      (r.subresource === "" && (a.verb === "get" || a.verb === "delete")) ||
      (r.subresource === "status" && (a.verb === "update" || a.verb === "patch" || a.verb === "get")) ||
      (r.subresource === "eviction" && a.verb === "create");
    if (!allowed) return noOpinion("");
    return (await isOwnPod(node, a.tenant, r))
      ? ALLOW
      : noOpinion(`no relationship found between node '${node}' and this object`);
  }

  function nodes(node: string, a: AuthorizationAttributes, r: Resource): Decision {
    if (a.tenant !== ROOT_TENANT && a.tenant !== "*") return noOpinion("");
    if (READ.has(a.verb)) return ALLOW;
    if (r.subresource !== "" && r.subresource !== "status") return noOpinion("");
    if (a.verb === "create" && r.subresource === "") return ALLOW;
    const own = r.name === node && (a.verb === "update" || a.verb === "patch");
    return own ? ALLOW : noOpinion(`node '${node}' cannot modify node '${r.name}'`);
  }

  return {
    rulesFor: (_tenant, user) =>
      noRules(nodeName(user) === undefined ? undefined : "node authorizer does not support user rule resolution"),
    async authorize(a): Promise<Decision> {
      const node = nodeName(a.user);
      const r = a.resource;
      if (node === undefined || !r) return noOpinion("");
      const resource = r.group === "" ? r.resource : `${r.resource}.${r.group}`;
      if (resource === "tenants.capstan.dev" && a.verb === "access") return ALLOW;
      if (resource === "plugins.capstan.dev" && r.subresource === "status") return ALLOW;
      if (resource === "pods") return await pods(node, a, r);
      if (resource === "nodes") return nodes(node, a, r);
      if (OPEN.has(resource) && READ.has(a.verb) && r.subresource === "") return ALLOW;
      if (resource === "events" || resource === "events.events.k8s.io") {
        return ["create", "update", "patch"].includes(a.verb) ? ALLOW : noOpinion("");
      }
      if (resource === "leases.coordination.k8s.io") {
        const own = r.namespace === "kube-node-lease" && (r.name === node || a.verb === "create");
        return own ? ALLOW : noOpinion("can only access node lease with the same name as the requesting node");
      }
      if (
        resource === "tokenreviews.authentication.k8s.io" ||
        resource === "subjectaccessreviews.authorization.k8s.io"
      ) {
        return a.verb === "create" ? ALLOW : noOpinion("");
      }
      // What a driver made larger is larger on the node now.
      if (resource === "persistentvolumeclaims" && r.subresource === "status" && CLAIM_STATUS_VERBS.has(a.verb))
        return (await isReferenced(node, a, r))
          ? ALLOW
          : noOpinion(`no relationship found between node '${node}' and this object`);
      if (resource === "csinodes.storage.k8s.io") {
        const may = a.tenant === ROOT_TENANT && r.subresource === "" && CSI_NODE_VERBS.has(a.verb);
        return may && (r.name === node || a.verb === "create")
          ? ALLOW
          : noOpinion("can only access CSINode with the same name as the requesting node");
      }
      // Slices of drivers that are gone are taken back; drivers write them by rights of their own.
      if (resource === "resourceslices.resource.k8s.io")
        return a.tenant === ROOT_TENANT && SLICE_VERBS.has(a.verb) && isOwnSelection(node, a.fieldSelector)
          ? ALLOW
          : noOpinion("can only list/watch/deletecollection resourceslices with nodeName field selector");
      if (resource === "volumeattachments.storage.k8s.io" && r.subresource === "" && a.verb === "get")
        return (await isAttachedHere(node, a, r))
          ? ALLOW
          : noOpinion(`no relationship found between node '${node}' and this object`);
      // A node asks for its own certificates; whether it gets them is for who approves and signs.
      if (resource === "certificatesigningrequests.certificates.k8s.io" && r.subresource === "")
        return a.verb === "create" || READ.has(a.verb) ? ALLOW : noOpinion("");
      if (resource === "persistentvolumes" && r.subresource === "" && a.verb === "get")
        return (await isClaimed(node, a, r))
          ? ALLOW
          : noOpinion(`no relationship found between node '${node}' and this object`);
      const token = resource === "serviceaccounts" && r.subresource === "token" && a.verb === "create";
      const reads = REFERENCED.has(resource) && r.subresource === "" && a.verb === "get";
      // A watch of one named object is how an agent keeps what its pods mounted up to date.
      const follows = REFERENCED.has(resource) && (a.verb === "watch" || a.verb === "list") && r.name !== "";
      if (token || reads || follows) {
        const isMine =
          (await isReferenced(node, a, r)) || (r.resource === "secrets" && (await isVolumesSecret(node, a, r)));
        return isMine ? ALLOW : noOpinion(`no relationship found between node '${node}' and this object`);
      }
      return noOpinion("");
    },
  };
}
