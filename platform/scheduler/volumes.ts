/**
 * What a pod's claims mean for where it can run, and binding of those that wait for their first pod (upstream: VolumeBinding). Components
 * see it as `claims` of a pod (plugins/volume-binding/claims.ts has the shape), and `volumeLimits` of a node.
 */
import type { Log } from "#platform/base/log.ts";
import { classOf, fittingVolumes } from "#platform/rules/volume-match.ts";
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  LabelSelector,
  NodeSelector,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StorageClass,
  TopologySelectorTerm,
} from "#sdk/api/generated/types.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";

const CLAIMS = { group: "", version: "v1", resource: "persistentvolumeclaims" };
const VOLUMES = { group: "", version: "v1", resource: "persistentvolumes" };
const CLASSES = { group: "storage.k8s.io", version: "v1", resource: "storageclasses" };
const CAPACITIES = { group: "storage.k8s.io", version: "v1", resource: "csistoragecapacities" };
const CSI_DRIVERS = { group: "storage.k8s.io", version: "v1", resource: "csidrivers" };
const CSI_NODES = { group: "storage.k8s.io", version: "v1", resource: "csinodes" };
const SELECTED_NODE = "volume.kubernetes.io/selected-node";
const NO_PROVISIONER = "kubernetes.io/no-provisioner";
/** As upstream's bindTimeoutSeconds. */
const BIND_MS_MAX = 600_000;
const CHOICES_MAX = 1000;
const TELL_MS = 20;

export interface ClaimFact {
  name: string;
  problem?: string;
  exclusive?: boolean;
  volume?: { affinity?: NodeSelector; labels?: Record<string, string> };
  attach?: { driver: string; handle: string };
  choices?: { name: string; affinity?: NodeSelector }[];
  provision?: TopologySelectorTerm[];
  room?: LabelSelector[];
}

export interface Volumes {
  start(signal: AbortSignal): Promise<void>;
  /** Undefined for a pod without claims. */
  factsOf(pod: Pod): ClaimFact[] | undefined;
  /** How many volumes of which CSI driver a node can attach. */
  limitsOf(node: string): Record<string, number> | undefined;
  /** Has the claims bound that wait for a node. Throws when that takes too long. */
  bind(pod: Pod, node: string): Promise<void>;
  /** Called after changes: of claims and volumes, or of a node's limits. */
  on(changed: { volumes(): void; limits(node: string): void }): void;
}

export function createVolumes(client: Client, log: Log): Volumes {
  const wildcard = client.tenant("*");
  const claims = createInformer<PersistentVolumeClaim>(wildcard, CLAIMS, { log });
  const byClass = (volume: PersistentVolume) => [`${tenantOf(volume)}/${classOf(volume)}`];
  const volumes = createInformer<PersistentVolume>(wildcard, VOLUMES, { log, indexes: { class: byClass } });
  const classes = createInformer<StorageClass>(wildcard, CLASSES, { log });
  const csiNodes = createInformer<CSINode>(wildcard, CSI_NODES, { log });
  // Drivers are root's, and so is what they say of their room.
  const drivers = createInformer<CSIDriver>(client, CSI_DRIVERS, { log });
  const capacities = createInformer<CSIStorageCapacity>(client, CAPACITIES, {
    log,
    indexes: { class: ({ storageClassName }) => [storageClassName] },
  });
  const waiters = new Set<() => void>();
  let stopped = false;
  let telling = false;

  /** Where its driver can make a volume as large as is asked for; undefined: it does not say. */
  const roomFor = (
    claim: PersistentVolumeClaim,
    { metadata, provisioner }: StorageClass,
  ): LabelSelector[] | undefined => {
    const asked = claim.spec?.resources?.requests?.["storage"];
    if (asked === undefined || drivers.get(`root//${provisioner}`)?.spec.storageCapacity !== true) return undefined;
    const { nano: least } = parseQuantity(asked);
    return capacities.byIndex("class", metadata.name ?? "").flatMap(({ capacity, maximumVolumeSize, nodeTopology }) => {
      const most = maximumVolumeSize ?? capacity;
      return nodeTopology && most !== undefined && parseQuantity(most).nano >= least ? [nodeTopology] : [];
    });
  };

  const claimFact = (pod: Pod, name: string, ephemeral: boolean): ClaimFact => {
    const tenant = tenantOf(pod);
    const claim = claims.get(`${tenant}/${pod.metadata.namespace}/${name}`);
    const quoted = JSON.stringify(name);
    if (!claim) {
      const problem = ephemeral
        ? `waiting for ephemeral volume controller to create the persistentvolumeclaim ${quoted}`
        : `persistentvolumeclaim ${quoted} not found`;
      return { name, problem };
    }
    if (claim.metadata.deletionTimestamp) return { name, problem: `persistentvolumeclaim ${quoted} is being deleted` };
    const volumeName = claim.spec?.volumeName;
    if (claim.status?.phase === "Lost") {
      const gone = JSON.stringify(volumeName ?? "");
      return { name, problem: `persistentvolumeclaim ${quoted} bound to non-existent persistentvolume ${gone}` };
    }
    const exclusive = claim.spec?.accessModes?.includes("ReadWriteOncePod") ? { exclusive: true } : {};
    if (volumeName && claim.status?.phase === "Bound") {
      const volume = volumes.get(`${tenant}//${volumeName}`);
      if (volume) return { name, ...exclusive, ...boundFact(volume) };
      return { name, problem: "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)" };
    }
    return { name, ...exclusive, ...openFact(claim, tenant) };
  };

  const openFact = (claim: PersistentVolumeClaim, tenant: string): Partial<ClaimFact> => {
    const className = classOf(claim);
    // Storage classes are the operator's, whoever's the claim is.
    const storageClass = classes.get(`${tenant}//${className}`) ?? classes.get(`root//${className}`);
    if (storageClass?.volumeBindingMode !== "WaitForFirstConsumer") {
      return { problem: "pod has unbound immediate PersistentVolumeClaims" };
    }
    const choices = fittingVolumes(claim, volumes.byIndex("class", `${tenant}/${className}`), undefined)
      .slice(0, CHOICES_MAX)
      .map(({ metadata, spec }) => ({ name: metadata.name ?? "", affinity: spec?.nodeAffinity?.required }));
    if (storageClass.provisioner === NO_PROVISIONER) return { choices };
    const attach = { driver: storageClass.provisioner, handle: `${claim.metadata.namespace}/${claim.metadata.name}` };
    const room = roomFor(claim, storageClass);
    return { choices, provision: storageClass.allowedTopologies ?? [], attach, ...(room ? { room } : {}) };
  };

  const claimsOf = (pod: Pod): [name: string, ephemeral: boolean][] =>
    (pod.spec?.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }): [string, boolean][] => {
      if (persistentVolumeClaim) return [[persistentVolumeClaim.claimName, false]];
      return ephemeral ? [[`${pod.metadata.name}-${name}`, true]] : [];
    });
  const claimOf = (pod: Pod, name: string) => claims.get(`${tenantOf(pod)}/${pod.metadata.namespace}/${name}`);
  const isBound = (pod: Pod, name: string) => claimOf(pod, name)?.status?.phase === "Bound";
  const selectedNode = (pod: Pod, name: string) => claimOf(pod, name)?.metadata.annotations?.[SELECTED_NODE];

  const select = async (pod: Pod, name: string, node: string | null) => {
    const body = { metadata: { annotations: { [SELECTED_NODE]: node } } };
    await client
      .tenant(tenantOf(pod))
      .patch(CLAIMS, { namespace: pod.metadata.namespace, name }, { type: "merge", body });
  };

  return {
    async start(signal) {
      const followed = [claims, volumes, classes, csiNodes, drivers, capacities];
      await Promise.all(followed.map((informer) => informer.start(signal)));
      const end = () => {
        stopped = true;
        for (const wake of [...waiters]) wake();
      };
      signal.addEventListener("abort", end, { once: true });
    },
    factsOf(pod) {
      const names = claimsOf(pod);
      return names.length === 0 ? undefined : names.map(([name, ephemeral]) => claimFact(pod, name, ephemeral));
    },
    limitsOf(node) {
      const drivers = csiNodes.get(`root//${node}`)?.spec?.drivers ?? [];
      const limits = drivers.flatMap(({ name, allocatable }): [string, number][] =>
        allocatable?.count === undefined ? [] : [[name, allocatable.count]],
      );
      return limits.length === 0 ? undefined : Object.fromEntries(limits);
    },
    async bind(pod, node) {
      const open = claimsOf(pod)
        .map(([name]) => name)
        .filter((name) => !isBound(pod, name));
      if (open.length === 0) return;
      for (const name of open) await select(pod, name, node);
      const bound = () => open.every((name) => isBound(pod, name));
      const told = new Set<string>();
      /** Its provisioner takes the node back where it cannot make the volume there. */
      const refused = (): string | undefined =>
        open.find((name) => {
          const isSelected = selectedNode(pod, name) === node;
          if (isSelected) told.add(name);
          return !isSelected && told.has(name) && !isBound(pod, name);
        });
      await eventually(() => stopped || bound() || refused() !== undefined, waiters);
      if (bound()) return;
      const without = refused();
      for (const name of open) if (!isBound(pod, name)) await select(pod, name, null);
      if (without !== undefined) throw new Error(`binding volumes: provisioning failed for PVC "${without}"`);
      throw new Error(`binding volumes: timed out waiting for the claims ${open.join(", ")}`);
    },
    on(changed) {
      const tell = () => {
        for (const wake of [...waiters]) wake();
        // Many change at once, and each concerns all pods.
        if (telling) return;
        telling = true;
        setTimeout(() => {
          telling = false;
          changed.volumes();
        }, TELL_MS).unref();
      };
      claims.on({ added: tell, updated: tell, deleted: tell });
      volumes.on({ added: tell, updated: tell, deleted: tell });
      classes.on({ added: tell, updated: tell });
      drivers.on({ added: tell, updated: tell, deleted: tell });
      capacities.on({ added: tell, updated: tell, deleted: tell });
      const limits = (object: CSINode) => changed.limits(object.metadata.name ?? "");
      csiNodes.on({ added: limits, updated: limits, deleted: limits });
    },
  };
}

function boundFact({ metadata, spec }: PersistentVolume): Partial<ClaimFact> {
  const zones = Object.entries(metadata.labels ?? {}).filter(([key]) => /\/(zone|region)$/.test(key));
  return {
    volume: {
      ...(spec?.nodeAffinity?.required ? { affinity: spec.nodeAffinity.required } : {}),
      ...(zones.length > 0 ? { labels: Object.fromEntries(zones) } : {}),
    },
    ...(spec?.csi ? { attach: { driver: spec.csi.driver, handle: spec.csi.volumeHandle } } : {}),
  };
}

/** Looks whenever it is woken; gives up after too long. */
function eventually(condition: () => boolean, waiters: Set<() => void>): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      waiters.delete(wake);
      resolve();
    };
    const wake = () => {
      if (condition()) end();
    };
    const timer = setTimeout(end, BIND_MS_MAX).unref();
    waiters.add(wake);
    wake();
  });
}
