/**
 * Device claims at the scheduler's steps: the rule that filters and scores (dynamic-resources.ts), and what is written to claims before a
 * pod is bound, when its binding fails, and when it fits nowhere.
 */
import { timeText } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { classesByResource, EXTENDED_CLAIM, isClaimOfResources } from "#platform/rules/extended-resources.ts";
import type {
  AllocationResult,
  DeviceClass,
  Pod,
  PodGroup,
  ResourceClaim,
  ResourceClaimConsumerReference,
  ResourceClaimStatus,
  ResourceSlice,
} from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import type { Demand, SchedulingPlugins } from "../framework.ts";
import { claimsOf, consumerOf, hasConditions, isReservedFor, READY_MS_MAX, readiness, usesClaims } from "./claims.ts";
import { createDynamicResources } from "./dynamic-resources.ts";
import { indexPools, type PoolIndex } from "./pools.ts";

const v1 = (resource: string) => ({ group: "resource.k8s.io", version: "v1", resource });
const [CLAIMS, CLASSES, SLICES] = [v1("resourceclaims"), v1("deviceclasses"), v1("resourceslices")];
const PODS = { group: "", version: "v1", resource: "pods" };
/** While a claim has it, it is not removed: its devices are in use. */
const FINALIZER = "resource.kubernetes.io/delete-protection";
const ATTEMPTS_MAX = 5;

export interface DevicesOptions {
  client: Client;
  log: Log;
  recorder: Recorder;
  pod(key: string): Pod | undefined;
  gang(key: string): string | undefined;
  /** Its PodGroup. */
  group(pod: Pod): PodGroup | undefined;
  /** Some pod of its gang has a node. */
  gangRuns(key: string): boolean;
}

export interface Devices {
  start(signal: AbortSignal): Promise<void>;
  /** Devices have something to do with where it can run. */
  concerns(pod: Pod): boolean;
  /** What the pod asks for without what devices may stand for: the rule of device claims looks after that. */
  without(pod: Pod, demand: Demand): Demand;
  /** The plugins, and the rule of device claims. */
  with(plugins: SchedulingPlugins): SchedulingPlugins;
  /** The pod was given this node. Throws where its devices are not there any more. */
  reserve(key: string, pod: Pod, node: number): void;
  /** Writes to the pod's claims what they were given and who uses them, and waits until their devices are ready. Throws otherwise. */
  bind(key: string, pod: Pod, node: string): Promise<void>;
  /** The pod does not go there: it takes back what was reserved and written for it. */
  release(key: string, pod: Pod): Promise<void>;
  /** It fits nowhere: true where devices that are in its way were given back. */
  giveBack(key: string, pod: Pod): Promise<boolean>;
  /** Called after changes that may let a pod with claims fit; with true where they concern pods that had nothing to do with devices before. */
  onChange(listener: (classes: boolean) => void): void;
}

export function createDevices(options: DevicesOptions): Devices {
  const { client, log, recorder } = options;
  const wildcard = client.tenant("*");
  const claims = createInformer<ResourceClaim>(wildcard, CLAIMS, { log, indexes: { resourcesOf: podOfResources } });
  const classes = createInformer<DeviceClass>(wildcard, CLASSES, { log });
  // Nodes are root's, and so are their devices.
  const slices = createInformer<ResourceSlice>(client, SLICES, { log });
  const listeners: ((classes: boolean) => void)[] = [];
  const waiters = new Set<() => void>();
  /** By pod: claims that it was written into. */
  const written = new Map<string, ResourceClaim[]>();
  /** By claim: one write after the other. */
  const turns = new Map<string, Promise<unknown>>();
  let pools: PoolIndex | undefined;
  /** By tenant, as asked since classes changed: by resource, the class whose devices stand for it. */
  const byResource = new Map<string, Map<string, DeviceClass>>();
  let stopped = false;

  const resourcesIn = (tenant: string) => {
    const known = byResource.get(tenant);
    if (known) return known;
    const made = classesByResource(classes.list().filter((one) => tenantOf(one) === tenant));
    byResource.set(tenant, made);
    return made;
  };
  const claimOfResources = ({ metadata: { uid } }: Pod): ResourceClaim | undefined =>
    claims.byIndex("resourcesOf", uid ?? "")[0];

  const rule = createDynamicResources({
    pod: options.pod,
    claim: (key) => claims.get(key),
    deviceClass: (tenant, name) => classes.get(`${tenant}//${name}`) ?? classes.get(`root//${name}`),
    pools() {
      pools ??= indexPools(slices.list());
      return pools;
    },
    classFor: (tenant, resource) => resourcesIn(tenant).get(resource) ?? resourcesIn("root").get(resource),
    claimOfResources,
    gang: options.gang,
    gangRuns: options.gangRuns,
  });
  const tell = (classes = false) => {
    for (const listener of listeners) listener(classes);
  };
  const changed = () => {
    pools = undefined;
    rule.changed();
    tell();
  };
  const classChanged = () => {
    byResource.clear();
    rule.changed();
    tell(true);
  };
  const seeClaim = (claim: ResourceClaim) => {
    rule.seeClaim(claim);
    for (const wake of [...waiters]) wake();
  };
  claims.on({
    added(claim) {
      seeClaim(claim);
      tell();
    },
    updated(claim, old) {
      seeClaim(claim);
      if (JSON.stringify(claim.status) !== JSON.stringify(old.status)) tell();
    },
    deleted(claim) {
      rule.loseClaim(claim);
      if (claim.status?.allocation) tell();
    },
  });
  slices.on({ added: changed, updated: changed, deleted: changed });
  classes.on({ added: classChanged, updated: classChanged, deleted: classChanged });

  const apiOf = (pod: Pod) => client.tenant(tenantOf(pod));
  const currentClaims = (pod: Pod) =>
    claimsOf(pod, (name) => claims.get(`${tenantOf(pod)}/${pod.metadata.namespace}/${name}`));
  const inTurn = <T>(uid: string, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(uid) ?? Promise.resolve()).then(work);
    const end = turn.catch(() => undefined).finally(() => turns.get(uid) === end && turns.delete(uid));
    turns.set(uid, end);
    return turn;
  };

  /** The claim with the pod among its users, and with its devices where they are new. */
  const write = async (key: string, pod: Pod, claim: ResourceClaim, node: string): Promise<ResourceClaim> => {
    const api = apiOf(pod);
    const found = rule.pending.get(claim.metadata.uid ?? "");
    const promise = found?.users.has(key) && found.written === undefined ? found : undefined;
    let current = claim;
    // It came after the node was chosen, in place of what was promised for there.
    const given = promise ? undefined : current.status?.allocation;
    if (given && !rule.reaches(node, given)) throw allocatedElsewhere(current);
    if (promise && !current.metadata.finalizers?.includes(FINALIZER)) {
      const metadata = { ...current.metadata, finalizers: [...(current.metadata.finalizers ?? []), FINALIZER] };
      current = await api.update<ResourceClaim>(CLAIMS, { ...current, metadata });
    }
    // Another pod of its gang has written it, and the cache may not have that yet.
    if (found?.users.has(key) && !promise && !current.status?.allocation) {
      const { namespace, name = "" } = current.metadata;
      current = await api.get<ResourceClaim>(CLAIMS, { namespace, name });
      if (isReservedFor(current, pod)) return current;
    }
    const status = statusWith(current, promise?.allocation, consumerOf(pod, current, options.group(pod)));
    current = await api.update<ResourceClaim>(CLAIMS, { ...current, status }, { subresource: "status" });
    if (promise) promise.written = BigInt(current.metadata.resourceVersion ?? "0");
    written.set(key, [...(written.get(key) ?? []), current]);
    const seen = claims.get(`${tenantOf(pod)}/${claim.metadata.namespace}/${claim.metadata.name}`);
    if (seen) rule.seeClaim(seen);
    return current;
  };
  /** Answers the claim as it is then. */
  const writeAnew = async (key: string, pod: Pod, claim: ResourceClaim, node: string): Promise<ResourceClaim> => {
    const { namespace, name = "" } = claim.metadata;
    for (let attempt = 1, current = claim; ; attempt++) {
      try {
        return isReservedFor(current, pod) ? current : await write(key, pod, current, node);
      } catch (error) {
        if (!isReason(error, "Conflict") || attempt >= ATTEMPTS_MAX) throw error;
        current = await apiOf(pod).get<ResourceClaim>(CLAIMS, { namespace, name });
      }
    }
  };

  /** Makes the claim in place of the pod's resources, and says on the pod which container has what of it. */
  const writeResources = async (key: string, pod: Pod, node: string): Promise<ResourceClaim | undefined> => {
    const decided = rule.unmade(pod);
    if (!decided?.mappings) return undefined;
    const { uid: _, ...metadata } = decided.claim.metadata;
    const made = await apiOf(pod).create<ResourceClaim>(CLAIMS, { ...decided.claim, metadata });
    written.set(key, [...(written.get(key) ?? []), made]);
    rule.made(pod, made);
    const current = await writeAnew(key, pod, made, node);
    const { namespace, name = "", uid } = pod.metadata;
    const extendedResourceClaimStatus = {
      resourceClaimName: made.metadata.name ?? "",
      requestMappings: decided.mappings.map((mapping) => ({ ...mapping })),
    };
    const body = { metadata: { uid }, status: { extendedResourceClaimStatus } };
    await apiOf(pod).patch(PODS, { namespace, name }, { type: "merge", body }, { subresource: "status" });
    return current;
  };

  /** Its devices are free, and it is gone. */
  const remove = async (pod: Pod, { metadata: { namespace, name = "" } }: ResourceClaim): Promise<void> => {
    const api = apiOf(pod);
    try {
      const { metadata } = await api.get<ResourceClaim>(CLAIMS, { namespace, name });
      const finalizers = (metadata.finalizers ?? []).filter((one) => one !== FINALIZER);
      const body = { metadata: { uid: metadata.uid, resourceVersion: metadata.resourceVersion, finalizers } };
      await api.patch(CLAIMS, { namespace, name }, { type: "merge", body });
      await api.delete(CLAIMS, { namespace, name }, metadata.uid ? { preconditions: { uid: metadata.uid } } : {});
    } catch (error) {
      if (!isReason(error, "NotFound")) throw error;
    }
  };

  /** Resolves when drivers have prepared the claims' devices. */
  const untilReady = async (pod: Pod, node: string): Promise<void> => {
    const state = () => {
      const made = claimOfResources(pod);
      return [...currentClaims(pod).claims, ...(made ? [made] : [])].map(readiness);
    };
    const isOver = () =>
      stopped || state().every((one) => one === "ready") || state().some((one) => typeof one === "object");
    recorder.event(
      pod,
      "Normal",
      "BindingConditionsPending",
      `waiting for binding conditions for device on node ${node}`,
    );
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        waiters.delete(wake);
        resolve();
      };
      const wake = () => {
        if (isOver()) end();
      };
      const timer = setTimeout(end, READY_MS_MAX).unref();
      waiters.add(wake);
      wake();
    });
    const failed = state().find((one) => typeof one === "object");
    if (failed) throw new Error(failed.failed);
    if (state().some((one) => one !== "ready")) throw new Error("device binding timeout");
  };

  return {
    async start(signal) {
      const end = () => {
        stopped = true;
        for (const wake of [...waiters]) wake();
      };
      signal.addEventListener("abort", end, { once: true });
      await Promise.all([claims, classes, slices].map((informer) => informer.start(signal)));
    },
    concerns: rule.concerns,
    without(pod, demand) {
      if (demand.requests.others.length === 0) return demand;
      const stoodFor = rule.stoodFor(pod);
      if (stoodFor.size === 0) return demand;
      const others = demand.requests.others.filter(([name]) => !stoodFor.has(name));
      return { ...demand, requests: { ...demand.requests, others } };
    },
    with: (plugins) => ({
      ...plugins,
      attach: (table) => plugins.attach(table),
      filters: (tenant) => [...plugins.filters(tenant), rule.plugin],
      scores: (tenant) => [...plugins.scores(tenant), rule.plugin],
    }),
    reserve: rule.reserve,
    async bind(key, pod, node) {
      if (!usesClaims(pod) && !rule.unmade(pod)) return;
      const { claims: found, problem } = currentClaims(pod);
      if (problem !== undefined) throw new Error(problem);
      let waits = false;
      const wait = (claim: ResourceClaim) => {
        waits ||= hasConditions(claim) && readiness(claim) !== "ready";
      };
      for (const claim of found) wait(await inTurn(claim.metadata.uid ?? "", () => writeAnew(key, pod, claim, node)));
      const made = await writeResources(key, pod, node);
      if (made) wait(made);
      if (waits) await untilReady(pod, node);
      written.delete(key);
      rule.release(key);
    },
    async release(key, pod) {
      rule.release(key);
      const mine = written.get(key) ?? [];
      written.delete(key);
      if (mine.length === 0 || (await isBound(apiOf(pod), pod))) return;
      for (const claim of mine) {
        const { namespace, name = "", uid } = claim.metadata;
        const status = { reservedFor: [{ $patch: "delete", uid: pod.metadata.uid }] };
        try {
          if (isClaimOfResources(claim, pod.metadata.uid)) {
            await remove(pod, claim);
            continue;
          }
          const patch = { type: "strategic" as const, body: { metadata: { uid }, status } };
          await apiOf(pod).patch(CLAIMS, { namespace, name }, patch, { subresource: "status" });
        } catch (error) {
          // The controller of claims takes it back when the pod is gone.
          log.warn("a claim is still reserved for a pod that was not bound", { key, error: messageOf(error) });
        }
      }
    },
    async giveBack(key, pod) {
      if (!rule.concerns(pod)) return false;
      const leftOver = claimOfResources(pod);
      if (leftOver) {
        await remove(pod, leftOver);
        return true;
      }
      const claim = rule.movable(key);
      if (!claim) return false;
      const { allocation: _, reservedFor: __, devices: ___, ...status } = claim.status ?? {};
      await apiOf(pod).update<ResourceClaim>(CLAIMS, { ...claim, status }, { subresource: "status" });
      return true;
    },
    onChange: (listener) => listeners.push(listener),
  };
}

/** The uid of the pod for whose resources the claim was made. */
const podOfResources = (claim: ResourceClaim): string[] => {
  if (claim.metadata.annotations?.[EXTENDED_CLAIM] !== "true") return [];
  const owner = claim.metadata.ownerReferences?.find(({ controller, kind }) => controller && kind === "Pod");
  return owner && isClaimOfResources(claim, owner.uid) ? [owner.uid] : [];
};

const fullName = ({ metadata }: ResourceClaim): string => `${metadata.namespace}/${metadata.name}`;
const allocatedElsewhere = (claim: ResourceClaim): Error =>
  new Error(`claim ${fullName(claim)} got allocated elsewhere in the meantime`);

/** Throws where others were faster. */
function statusWith(
  claim: ResourceClaim,
  allocation: AllocationResult | undefined,
  user: ResourceClaimConsumerReference,
): ResourceClaimStatus {
  const { metadata, status = {} } = claim;
  const name = fullName(claim);
  if (metadata.deletionTimestamp) throw new Error(`claim ${name} got deleted in the meantime`);
  if (allocation && status.allocation) throw allocatedElsewhere(claim);
  const present = allocation ? { ...allocation, allocationTimestamp: timeText(Date.now()) } : status.allocation;
  if (!present) throw new Error(`claim ${name} got deallocated elsewhere in the meantime`);
  return { ...status, allocation: present, reservedFor: [...(status.reservedFor ?? []), user] };
}

/** Another scheduler bound it: what is written for the pod holds. */
async function isBound(api: Client, pod: Pod): Promise<boolean> {
  const { namespace, name = "", uid } = pod.metadata;
  try {
    const current = await api.get<Pod>(PODS, { namespace, name });
    return current.metadata.uid === uid && current.spec?.nodeName !== undefined;
  } catch (error) {
    if (isReason(error, "NotFound")) return false;
    throw error;
  }
}
