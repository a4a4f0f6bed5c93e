/** What upstream's default admission plugins add to pods and nodes: ServiceAccount, Priority, DefaultTolerationSeconds, TaintNodesByCondition. */
import { ROOT_TENANT, type Store, type StoredObject, type TenantId } from "#platform/store/port.ts";
import type {
  Binding,
  Container,
  Node,
  Pod,
  PodGroup,
  PodSpec,
  PriorityClass,
  ServiceAccount,
  Volume,
} from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { forbidden } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import { documentOf } from "../registry/document.ts";
import { randomSuffix } from "../registry/generateName.ts";
import type { AdmissionRule } from "./chain.ts";

const PODS = { group: "", resource: "pods" };
const TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_SECONDS = 3607;
const MIRROR = "kubernetes.io/config.mirror";

const podOf = (object: DynamicObject) => object as unknown as Pod & { spec: PodSpec };
const isPodCreate = ({ operation, resource, subresource }: AdmissionAttributes) =>
  operation === "CREATE" && resource.group === "" && resource.resource === "pods" && subresource === "";

async function read(
  store: Store,
  tenant: TenantId,
  resource: string,
  namespace: string,
  name: string,
): Promise<StoredObject | undefined> {
  const key = { tenant, resource, namespace, name };
  return (await store.get(key, { type: "atLeast", revision: 0 })) ?? (await store.get(key, { type: "consistent" }));
}

/** The volume through which a pod finds its token, the cluster's authority and its own namespace (BoundServiceAccountTokenVolume). */
function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: "token" } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        {
          downwardAPI: {
            items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
          },
        },
      ],
    },
  };
}

function mountToken(spec: PodSpec): void {
  const containers: Container[] = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const without = containers.filter((c) => !(c.volumeMounts ?? []).some((m) => m.mountPath === TOKEN_PATH));
  if (without.length === 0) return;
  const present = spec.volumes?.find((v) => v.name?.startsWith("kube-api-access-"));
  const name = present?.name ?? `kube-api-access-${randomSuffix(5)}`;
  if (!present) spec.volumes = [...(spec.volumes ?? []), tokenVolume(name)];
  for (const container of without) {
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath: TOKEN_PATH }];
  }
}

export function serviceAccounts(store: Store): AdmissionRule {
  return {
    async mutate(attributes) {
      if (!isPodCreate(attributes)) return;
      const pod = podOf(attributes.object);
      const { name = "" } = pod.metadata;
      if (pod.metadata.annotations?.[MIRROR]) {
        if (pod.spec.serviceAccountName) throw forbidden(PODS, name, "a mirror pod may not reference service accounts");
        return;
      }
      pod.spec.serviceAccountName ||= "default";
      pod.spec.serviceAccount = pod.spec.serviceAccountName;
      const { tenant, namespace } = attributes;
      const stored = await read(store, tenant, "serviceaccounts", namespace, pod.spec.serviceAccountName);
      if (!stored) {
        const account = pod.spec.serviceAccountName;
        const why = `error looking up service account ${namespace}/${account}: serviceaccount ${JSON.stringify(account)} not found`;
        throw forbidden(PODS, name, why);
      }
      const account = documentOf<ServiceAccount>(stored);
      if (pod.spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(pod.spec);
      if (!pod.spec.imagePullSecrets?.length && account.imagePullSecrets?.length)
        pod.spec.imagePullSecrets = structuredClone(account.imagePullSecrets);
    },
  };
}

async function defaultClass(store: Store, tenant: TenantId): Promise<PriorityClass | undefined> {
  const scope = { tenant, resource: "priorityclasses.scheduling.k8s.io" };
  const { objects } = await store.list({ scope, freshness: { type: "atLeast", revision: 0 } });
  const classes = objects.map((o) => documentOf<PriorityClass>(o)).filter((c) => c.globalDefault);
  return classes.sort((a, b) => (a.value ?? 0) - (b.value ?? 0))[0];
}

/** What a pod got when it was created is not taken from it by a client that leaves it out. */
function keepPriority({ operation, resource, subresource, object, oldObject }: AdmissionAttributes): void {
  if (operation !== "UPDATE" || resource.group !== "" || resource.resource !== "pods" || subresource !== "") return;
  if (!object || !oldObject) return;
  const [{ spec }, { spec: old }] = [podOf(object), podOf(oldObject)];
  if (old.priority !== undefined) spec.priority ??= old.priority;
  if (old.preemptionPolicy !== undefined) spec.preemptionPolicy ??= old.preemptionPolicy;
}

const POD_GROUPS = { group: "scheduling.k8s.io", resource: "podgroups" };

/** `groups`: PodGroups have priorities, too (WorkloadAwarePreemption). */
export function priorities(store: Store, groups = false): AdmissionRule {
  const classOf = async (of: typeof PODS, { tenant, object }: AdmissionAttributes, name: string | undefined) => {
    if (!name) return await defaultClass(store, tenant);
    const stored = await read(store, tenant, "priorityclasses.scheduling.k8s.io", "", name);
    if (!stored) throw forbidden(of, object?.metadata.name ?? "", `no PriorityClass with name ${name} was found`);
    return JSON.parse(stored.document) as PriorityClass;
  };
  const admitGroup = async (attributes: AdmissionAttributes): Promise<void> => {
    const { spec, metadata } = attributes.object as unknown as PodGroup;
    if (!spec) return;
    const found = await classOf(POD_GROUPS, attributes, spec.priorityClassName);
    const priority = found?.value ?? 0;
    if (spec.priority !== undefined && spec.priority !== priority) {
      const why = `priority set in the pod group (${spec.priority}) must match the priority computed (${priority}) based on the priority class set in the spec`;
      throw forbidden(POD_GROUPS, metadata.name ?? "", why);
    }
    if (found?.metadata.name) spec.priorityClassName = found.metadata.name;
    spec.priority = priority;
  };
  return {
    async mutate(attributes) {
      keepPriority(attributes);
      const { operation, resource, subresource } = attributes;
      const isGroup = resource.group === POD_GROUPS.group && resource.resource === POD_GROUPS.resource;
      if (groups && isGroup && operation === "CREATE" && subresource === "") return await admitGroup(attributes);
      if (!isPodCreate(attributes)) return;
      const { metadata, spec } = podOf(attributes.object);
      const name = spec.priorityClassName;
      const found = await classOf(PODS, attributes, name);
      const priority = found?.value ?? 0;
      if (spec.priority !== undefined && spec.priority !== priority) {
        const why = `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${priority} from the given PriorityClass name`;
        throw forbidden(PODS, metadata.name ?? "", why);
      }
      if (!name && found?.metadata.name) spec.priorityClassName = found.metadata.name;
      spec.priority = priority;
      const policy = found?.preemptionPolicy ?? "PreemptLowerPriority";
      if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) {
        const why = `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`;
        throw forbidden(PODS, metadata.name ?? "", why);
      }
      spec.preemptionPolicy = policy;
    },
  };
}

const LOST_NODE_SECONDS = 300;

/** A pod stays five minutes on a node that is lost, unless it says otherwise. An update that leaves them out gets them again. */
export const defaultTolerations: AdmissionRule = {
  async mutate(attributes) {
    const { operation, resource, subresource } = attributes;
    const isPod = resource.group === "" && resource.resource === "pods" && subresource === "";
    if (!isPod || (operation !== "CREATE" && operation !== "UPDATE")) return;
    const { spec } = podOf(attributes.object);
    const tolerated = (key: string) =>
      (spec.tolerations ?? []).some((t) => (!t.key || t.key === key) && (!t.effect || t.effect === "NoExecute"));
    for (const key of ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]) {
      if (tolerated(key)) continue;
      const toleration = { key, operator: "Exists", effect: "NoExecute", tolerationSeconds: LOST_NODE_SECONDS };
      spec.tolerations = [...(spec.tolerations ?? []), toleration];
    }
  },
};

/** A new node takes no pods until it is ready. */
export const notReadyTaint: AdmissionRule = {
  async mutate({ operation, resource, subresource, object }) {
    if (operation !== "CREATE" || resource.group !== "" || resource.resource !== "nodes" || subresource !== "") return;
    const node = object as unknown as Node;
    const taint = { key: "node.kubernetes.io/not-ready", effect: "NoSchedule" };
    node.spec ??= {};
    const taints = node.spec.taints ?? [];
    if (!taints.some((t) => t.key === taint.key && t.effect === taint.effect)) node.spec.taints = [...taints, taint];
  },
};

const TOPOLOGY_LABELS = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/** PodTopologyLabels: a pod carries the zone and region of the node that it is put on (KEP-4742). */
export function topologyLabels(store: Store): AdmissionRule {
  function nodeOf({ operation, resource, subresource, object }: AdmissionAttributes): string | undefined {
    if (operation !== "CREATE" || resource.group !== "" || resource.resource !== "pods" || !object) return undefined;
    if (subresource === "") return podOf(object).spec.nodeName;
    if (subresource !== "binding") return undefined;
    const { target } = object as unknown as Binding;
    return target?.kind === "Node" ? target.name : undefined;
  }
  return {
    async mutate(attributes) {
      const name = nodeOf(attributes);
      if (!name) return;
      const key = { tenant: ROOT_TENANT, resource: "nodes", namespace: "", name };
      const node = await store.get(key, { type: "atLeast", revision: 0 });
      const { metadata } = attributes.object;
      for (const label of TOPOLOGY_LABELS) {
        const value = node?.labels[label];
        if (value !== undefined) metadata.labels = { ...metadata.labels, [label]: value };
      }
    },
  };
}
