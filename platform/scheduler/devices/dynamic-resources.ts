/**
 * The rule of device claims (upstream: DynamicResources): a pod runs where its claims' devices are, and claims that have none get them there.
 * A decision is remembered until its bindings are over, so that no device is promised twice; the API holds schedulers apart.
 */
import { groupNameOf, isGroup } from "#platform/rules/group-claims.ts";
import type {
  AllocationResult,
  ContainerExtendedResourceRequest,
  DeviceClass,
  Node,
  Pod,
  ResourceClaim,
  ResourceClaimConsumerReference,
} from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { Amounts, FilterOutcome, FilterPlugin, ScorePlugin } from "../framework.ts";
import { ABOUT_POD } from "../messages.ts";
import { allocate, RESULTS_MAX } from "./allocator.ts";
import { claimsOf, isLate, rank, readiness, usesClaims } from "./claims.ts";
import { createUseTable } from "./in-use.ts";
import { matchesSelector, type PoolIndex } from "./pools.ts";
import { type Asked, type ClassOf, claimFor, type ExtendedClaim, resourcesOf } from "./resources.ts";

export const NAME = "dynamic-resources";
const ORDER = 900;
/** As upstream's default. */
const WEIGHT = 2;
/** Pods that are being decided about at once: a gang's. */
const SESSIONS_MAX = 1024;
const NOT_ALL = "cannot allocate all claims";
const NOT_HERE = "resourceclaim not available on the node";
const LEFT_OVER = "cannot schedule extended resource claim";

/** What the rule knows of the API. */
export interface DeviceFacts {
  /** The pod of this key, as it is now. */
  pod(key: string): Pod | undefined;
  /** "tenant/namespace/name". */
  claim(key: string): ResourceClaim | undefined;
  deviceClass(tenant: string, name: string): DeviceClass | undefined;
  /** The class whose devices stand for a resource that pods ask for by number. */
  classFor: ClassOf;
  /** The claim that was made for such resources of the pod. */
  claimOfResources(pod: Pod): ResourceClaim | undefined;
  pools(): PoolIndex;
  /** The gang of the pod of this key, where it is in one. */
  gang(key: string): string | undefined;
  /** Some pod of that gang has a node. */
  gangRuns(key: string): boolean;
}

/** An allocation that is decided and not yet seen in the API. */
export interface Pending {
  allocation: AllocationResult;
  claim: ResourceClaim;
  /** Keys of pods that will use it: several of one gang. */
  users: Set<string>;
  gang: string | undefined;
  /** The claim's revision with it. */
  written?: bigint;
  /** Of a claim that is to be made: which containers have what of it. */
  mappings?: readonly ContainerExtendedResourceRequest[];
}

export interface DynamicResources {
  plugin: FilterPlugin & ScorePlugin;
  /** By the claim's uid. */
  pending: ReadonlyMap<string, Pending>;
  /** The pod goes to this node: its claims' devices are taken. Throws where they are not there any more. */
  reserve(key: string, pod: Pod, node: number): void;
  /** What is allocated is to be had on this node. */
  reaches(node: string, allocation: AllocationResult): boolean;
  /** The pod does not need them any more; whoever else of its gang does keeps them. */
  release(key: string): void;
  /** Devices have something to do with where it can run. */
  concerns(pod: Pod): boolean;
  /** Of the pod's resources those that devices may stand for: this rule alone looks after them. */
  stoodFor(pod: Pod): ReadonlyMap<string, unknown>;
  /** A claim that is to be made for the pod before it is bound. */
  unmade(pod: Pod): Pending | undefined;
  /** It is made: what was decided is about this one. */
  made(pod: Pod, claim: ResourceClaim): void;
  /** A claim that has devices where the pod cannot run, and that nobody else has: it may be given others. */
  movable(key: string): ResourceClaim | undefined;
  seeClaim(claim: ResourceClaim): void;
  loseClaim(claim: ResourceClaim): void;
  /** Slices or classes are others. */
  changed(): void;
}

/** What a pod's claims without devices would get on a node. */
interface Found {
  /** In their order; the last is that of `extra`. */
  allocations: AllocationResult[];
  /** The claim that would be made for the pod's resources there. */
  extra?: ExtendedClaim;
}

interface Session {
  version: number;
  pod: Pod | undefined;
  claims: ResourceClaim[];
  /** By name: what devices may stand for. */
  resources: ReadonlyMap<string, Asked>;
  problem?: string;
  /** Said of every node: a claim that was made for the pod when it was decided about before. */
  leftOver: boolean;
  /** Claims that have devices somewhere else. */
  elsewhere: Set<ResourceClaim>;
  /** By node; undefined: not all that is needed. */
  found: Map<number, Found | undefined>;
}

/** What a node has of resources by number, by plugins of its own. */
interface Room {
  allocatable: ReadonlyMap<string, number>;
  requested: ReadonlyMap<string, number>;
}

const uidOf = ({ metadata }: ResourceClaim): string => metadata.uid ?? "";
const textOf = ({ metadata }: ResourceClaim): string =>
  `${metadata.namespace}/${metadata.name ?? "<extended-resources>"}`;
/** Of the claim that is to be made for a pod. */
const unmadeUid = ({ metadata }: Pod): string => `resources of ${metadata.uid}`;
const EMPTY: ReadonlyMap<string, number> = new Map();

export function createDynamicResources(facts: DeviceFacts): DynamicResources {
  const inUse = createUseTable();
  const pending = new Map<string, Pending>();
  const nodes = new Map<number, Node>();
  const rooms = new Map<number, Room>();
  const sessions = new Map<string, Session>();
  /** Answers of another version are void. */
  let version = 0;

  const drop = (uid: string) => {
    pending.delete(uid);
    inUse.put(`pending ${uid}`, undefined);
    version++;
  };
  /** A claim's devices where this pod may count on them before they are written: its gang's. */
  const promised = (key: string, claim: ResourceClaim): AllocationResult | undefined => {
    const found = pending.get(uidOf(claim));
    return found?.gang !== undefined && found.gang === facts.gang(key) ? found.allocation : undefined;
  };

  const problemOf = (key: string, pod: Pod, claims: readonly ResourceClaim[]): string | undefined => {
    for (const claim of claims) {
      if (claim.status?.allocation || promised(key, claim)) continue;
      if (pending.has(uidOf(claim))) return `resource claim ${textOf(claim)} is in the process of being allocated`;
      for (const { name, exactly, firstAvailable = [] } of claim.spec.devices?.requests ?? []) {
        if (exactly?.adminAccess && tenantOf(pod) !== "root") {
          return `claim ${textOf(claim)}, request ${name}: admin access is root's`;
        }
        const wanted = exactly ? [[name, exactly.deviceClassName] as const] : [];
        for (const other of firstAvailable) wanted.push([`${name}/${other.name}`, other.deviceClassName]);
        const missing = wanted.find(([, of]) => !facts.deviceClass(tenantOf(pod), of));
        if (missing) return `request ${missing[0]}: device class ${missing[1]} does not exist`;
      }
    }
    return undefined;
  };

  const sessionOf = (key: string): Session => {
    const known = sessions.get(key);
    if (known?.version === version) return known;
    const pod = facts.pod(key);
    const resources = pod ? resourcesOf(pod, tenantOf(pod), facts.classFor) : new Map<string, Asked>();
    const leftOver = pod !== undefined && resources.size > 0 && facts.claimOfResources(pod) !== undefined;
    const session: Session = {
      version,
      pod,
      claims: [],
      resources,
      leftOver,
      elsewhere: new Set(),
      found: new Map(),
    };
    if (pod) {
      const { claims, problem } = claimsOf(pod, (name) =>
        facts.claim(`${tenantOf(pod)}/${pod.metadata.namespace}/${name}`),
      );
      session.claims = claims;
      const wrong = problem ?? problemOf(key, pod, claims);
      if (wrong !== undefined) session.problem = wrong;
    }
    sessions.delete(key);
    sessions.set(key, session);
    if (sessions.size > SESSIONS_MAX) sessions.delete(sessions.keys().next().value!);
    return session;
  };

  /** What the node has not itself of the resources that the pod asks for. */
  const missingOn = ({ resources }: Session, id: number): Map<string, Asked> =>
    new Map([...resources].filter(([name]) => !((rooms.get(id)?.allocatable.get(name) ?? 0) > 0)));

  const foundOn = (session: Session, key: string, id: number): Found | undefined => {
    if (session.found.has(id)) return session.found.get(id);
    const { pod } = session;
    const missing = missingOn(session, id);
    const extra = pod && missing.size > 0 ? claimFor(pod, unmadeUid(pod), missing) : undefined;
    const open = session.claims.filter((claim) => !claim.status?.allocation && !promised(key, claim));
    const classOf = (claim: ResourceClaim, name: string) => {
      const found = facts.deviceClass(tenantOf(pod ?? claim), name);
      if (found) return found;
      throw new Error(`claim ${textOf(claim)}: could not retrieve device class ${name}`);
    };
    const claims = extra ? [...open, extra.claim] : open;
    const problem = { claims, node: nodes.get(id)!, pools: facts.pools(), inUse, classOf };
    // Another node may have as many by plugins of its own: only here it is too much.
    const allocations = extra && devicesOf(extra) > RESULTS_MAX ? undefined : allocate(problem);
    const found = allocations && { allocations, ...(extra ? { extra } : {}) };
    session.found.set(id, found);
    return found;
  };

  /** Of what the node's own plugins have there is too little. */
  const lacks = ({ resources }: Session, id: number): FilterOutcome | undefined => {
    const { allocatable = EMPTY, requested = EMPTY } = rooms.get(id) ?? {};
    const of = [...resources].map(([name, { amount }]) => ({ name, amount, capacity: allocatable.get(name) ?? 0 }));
    const lacking = of.filter(
      ({ name, amount, capacity }) => capacity > 0 && amount > capacity - (requested.get(name) ?? 0),
    );
    if (lacking.length === 0) return undefined;
    return {
      reasons: lacking.map(({ name }) => `Insufficient ${name}`),
      unresolvable: lacking.some(({ amount, capacity }) => amount > capacity),
    };
  };

  /** The node has all claims' devices, or can have them. */
  const refusal = (session: Session, key: string, id: number): FilterOutcome | undefined => {
    if (session.leftOver) return outcome(LEFT_OVER);
    const why = lacks(session, id);
    if (why) return why;
    const reason = claimsRefusal(session, key, id);
    return reason === undefined ? undefined : outcome(reason);
  };
  const claimsRefusal = (session: Session, key: string, id: number): string | undefined => {
    const node = nodes.get(id);
    if (!node) return NOT_ALL;
    let isHere = true;
    for (const claim of session.claims) {
      const allocation = claim.status?.allocation ?? promised(key, claim);
      const { nodeSelector } = allocation ?? {};
      const reaches = !nodeSelector || matchesSelector(node, nodeSelector);
      if (reaches && typeof readiness(claim) === "string" && !isLate(claim, Date.now())) continue;
      session.elsewhere.add(claim);
      isHere = false;
    }
    if (!isHere) return NOT_HERE;
    return foundOn(session, key, id) ? undefined : NOT_ALL;
  };

  const outcome = (reason: string) => ({ reasons: [reason], unresolvable: true });
  const cannot = () => Promise.reject(new Error("the rule of device claims is asked about each pod anew"));
  const stoodFor = (pod: Pod) => resourcesOf(pod, tenantOf(pod), facts.classFor);
  const concerns = (pod: Pod) => usesClaims(pod) || stoodFor(pod).size > 0;
  const concern = { pod: concerns, pods: undefined };

  const plugin: FilterPlugin & ScorePlugin = {
    name: NAME,
    order: ORDER,
    weight: WEIGHT,
    scope: "call",
    normalization: "maximum",
    filterConcern: concern,
    scoreConcern: concern,
    // Each pod has claims of its own, and takes what the next one could have had.
    apart: () => undefined,
    view: (pod) => `${pod.tenant}/${pod.metadata.namespace ?? ""}/${pod.metadata.name}`,
    async sync({ whole, removed, nodes: changed, usage }) {
      if (whole) for (const map of [nodes, rooms]) map.clear();
      for (const id of removed) for (const map of [nodes, rooms]) map.delete(id);
      for (const { id, node, allocatable } of changed) {
        nodes.set(id, node);
        rooms.set(id, { requested: rooms.get(id)?.requested ?? EMPTY, allocatable: byName(allocatable) });
      }
      for (const { id, requested } of usage)
        rooms.set(id, { allocatable: rooms.get(id)?.allocatable ?? EMPTY, requested: byName(requested) });
      if (whole || removed.length + changed.length > 0) version++;
    },
    async evaluate(pods, ids) {
      return pods.map(({ view: key }) => {
        const session = sessionOf(key);
        if (session.problem !== undefined) {
          return { codes: ids.map(() => 1), outcomes: [outcome(ABOUT_POD + session.problem)] };
        }
        const outcomes: FilterOutcome[] = [];
        const codes = ids.map((id) => {
          const why = refusal(session, key, id);
          if (!why) return 0;
          const known = outcomes.findIndex((one) => isSame(one, why));
          return known < 0 ? outcomes.push(why) : known + 1;
        });
        return { codes, outcomes };
      });
    },
    async score(pods, ids) {
      return pods.map(({ view: key }) => {
        const session = sessionOf(key);
        return ids.map((id) => {
          const found = [...(foundOn(session, key, id)?.allocations ?? [])];
          const ranks = session.claims.map((claim) =>
            rank(claim, claim.status?.allocation ?? promised(key, claim) ?? found.shift()),
          );
          return ranks.reduce((sum, one) => sum + one, 0);
        });
      });
    },
    updateVerdicts: cannot,
    updateScores: cannot,
    normalize: cannot,
  };

  return {
    plugin,
    pending,
    concerns,
    stoodFor,
    reaches(name, { nodeSelector }) {
      const node = nodes.values().find(({ metadata }) => metadata.name === name);
      return !nodeSelector || (node !== undefined && matchesSelector(node, nodeSelector));
    },
    reserve(key, pod, id) {
      if (!concerns(pod)) return;
      const session = sessionOf(key);
      // The node has counted the pod by now, and with it what of its own resources the pod takes.
      const reason = session.problem ?? (session.leftOver ? LEFT_OVER : claimsRefusal(session, key, id));
      if (reason !== undefined) throw new Error(reason);
      const { allocations, extra } = foundOn(session, key, id)!;
      const found = [...allocations];
      const promise = (claim: ResourceClaim, more: Partial<Pending> = {}) => {
        const allocation = found.shift()!;
        pending.set(uidOf(claim), { allocation, claim, users: new Set([key]), gang: facts.gang(key), ...more });
        inUse.put(`pending ${uidOf(claim)}`, allocation);
      };
      for (const claim of session.claims) {
        if (claim.status?.allocation) continue;
        const shared = pending.get(uidOf(claim));
        if (shared) shared.users.add(key);
        else promise(claim);
      }
      if (extra) promise(extra.claim, { mappings: extra.mappings });
      version++;
    },
    unmade: (pod) => pending.get(unmadeUid(pod)),
    made(pod, claim) {
      const decided = pending.get(unmadeUid(pod));
      if (!decided) return;
      drop(unmadeUid(pod));
      pending.set(uidOf(claim), { ...decided, claim });
      inUse.put(`pending ${uidOf(claim)}`, decided.allocation);
    },
    release(key) {
      for (const [uid, { users, written }] of pending) {
        users.delete(key);
        // What is written is dropped when it is seen.
        if (users.size === 0 && written === undefined) drop(uid);
      }
    },
    movable(key) {
      const pod = facts.pod(key);
      if (!pod) return undefined;
      const isOnlyUser = (user: ResourceClaimConsumerReference) =>
        user.uid === pod.metadata.uid || (isGroup(user) && user.name === groupNameOf(pod) && !facts.gangRuns(key));
      return [...(sessions.get(key)?.elsewhere ?? [])].find(
        ({ status }) => status?.allocation && (status.reservedFor ?? []).every(isOnlyUser),
      );
    },
    seeClaim(claim) {
      version++;
      inUse.put(uidOf(claim), claim.status?.allocation);
      const known = pending.get(uidOf(claim));
      if (!known) return;
      const seen = known.written !== undefined && BigInt(claim.metadata.resourceVersion ?? "0") >= known.written;
      if (claim.status?.allocation || seen) drop(uidOf(claim));
    },
    loseClaim(claim) {
      inUse.put(uidOf(claim), undefined);
      drop(uidOf(claim));
    },
    changed() {
      version++;
    },
  };
}

const byName = ({ others }: Amounts): ReadonlyMap<string, number> => (others.length > 0 ? new Map(others) : EMPTY);

const devicesOf = ({ claim }: ExtendedClaim): number =>
  (claim.spec.devices?.requests ?? []).reduce((sum, { exactly }) => sum + (exactly?.count ?? 0), 0);

const isSame = (a: FilterOutcome, b: FilterOutcome): boolean =>
  a.unresolvable === b.unresolvable && a.reasons.join() === b.reasons.join();
