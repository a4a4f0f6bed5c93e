/**
 * The rule of device claims (upstream: DynamicResources): a pod runs where its claims' devices are, and claims that have none get them there.
 * A decision is remembered until its bindings are over, so that no device is promised twice; the API holds schedulers apart.
 */
import type { AllocationResult, DeviceClass, Node, Pod, ResourceClaim } from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { FilterPlugin, ScorePlugin } from "../framework.ts";
import { ABOUT_POD } from "../messages.ts";
import { allocate } from "./allocator.ts";
import { claimsOf, isLate, rank, readiness, usesClaims } from "./claims.ts";
import { createUseTable } from "./in-use.ts";
import { matchesSelector, type PoolIndex } from "./pools.ts";

export const NAME = "dynamic-resources";
const ORDER = 900;
/** As upstream's default. */
const WEIGHT = 2;
/** Pods that are being decided about at once: a gang's. */
const SESSIONS_MAX = 1024;
const NOT_ALL = "cannot allocate all claims";
const NOT_HERE = "resourceclaim not available on the node";

/** What the rule knows of the API. */
export interface DeviceFacts {
  /** The pod of this key, as it is now. */
  pod(key: string): Pod | undefined;
  /** "tenant/namespace/name". */
  claim(key: string): ResourceClaim | undefined;
  deviceClass(tenant: string, name: string): DeviceClass | undefined;
  pools(): PoolIndex;
  /** The gang of the pod of this key, where it is in one. */
  gang(key: string): string | undefined;
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
}

export interface DynamicResources {
  plugin: FilterPlugin & ScorePlugin;
  /** By the claim's uid. */
  pending: ReadonlyMap<string, Pending>;
  /** The pod goes to this node: its claims' devices are taken. Throws where they are not there any more. */
  reserve(key: string, pod: Pod, node: number): void;
  /** The pod does not need them any more; whoever else of its gang does keeps them. */
  release(key: string): void;
  /** A claim that has devices where the pod cannot run, and that nobody else has: it may be given others. */
  movable(key: string): ResourceClaim | undefined;
  seeClaim(claim: ResourceClaim): void;
  loseClaim(claim: ResourceClaim): void;
  /** Slices or classes are others. */
  changed(): void;
}

interface Session {
  version: number;
  claims: ResourceClaim[];
  problem?: string;
  /** Claims that have devices somewhere else. */
  elsewhere: Set<ResourceClaim>;
  /** By node: what claims without devices would get, in their order; undefined: not all. */
  found: Map<number, AllocationResult[] | undefined>;
}

const uidOf = ({ metadata }: ResourceClaim): string => metadata.uid ?? "";
const textOf = ({ metadata }: ResourceClaim): string => `${metadata.namespace}/${metadata.name}`;

export function createDynamicResources(facts: DeviceFacts): DynamicResources {
  const inUse = createUseTable();
  const pending = new Map<string, Pending>();
  const nodes = new Map<number, Node>();
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
    const session: Session = { version, claims: [], elsewhere: new Set(), found: new Map() };
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

  const allocationsOn = (session: Session, key: string, id: number): AllocationResult[] | undefined => {
    if (session.found.has(id)) return session.found.get(id);
    const open = session.claims.filter((claim) => !claim.status?.allocation && !promised(key, claim));
    const found = allocate({
      claims: open,
      node: nodes.get(id)!,
      pools: facts.pools(),
      inUse,
      classOf(claim, name) {
        const found = facts.deviceClass(tenantOf(claim), name);
        if (found) return found;
        throw new Error(`claim ${textOf(claim)}: could not retrieve device class ${name}`);
      },
    });
    session.found.set(id, found);
    return found;
  };

  /** The node has all claims' devices, or can have them. */
  const refusal = (session: Session, key: string, id: number): string | undefined => {
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
    return allocationsOn(session, key, id) ? undefined : NOT_ALL;
  };

  const outcome = (reason: string) => ({ reasons: [reason], unresolvable: true });
  const cannot = () => Promise.reject(new Error("the rule of device claims is asked about each pod anew"));
  const concern = { pod: usesClaims, pods: undefined };

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
    async sync({ whole, removed, nodes: changed }) {
      if (whole) nodes.clear();
      for (const id of removed) nodes.delete(id);
      for (const { id, node } of changed) nodes.set(id, node);
      if (whole || removed.length + changed.length > 0) version++;
    },
    async evaluate(pods, ids) {
      return pods.map(({ view: key }) => {
        const session = sessionOf(key);
        if (session.problem !== undefined) {
          return { codes: ids.map(() => 1), outcomes: [outcome(ABOUT_POD + session.problem)] };
        }
        const reasons = [NOT_ALL, NOT_HERE];
        const codes = ids.map((id) => {
          const reason = refusal(session, key, id);
          return reason === undefined ? 0 : reasons.indexOf(reason) + 1;
        });
        return { codes, outcomes: reasons.map(outcome) };
      });
    },
    async score(pods, ids) {
      return pods.map(({ view: key }) => {
        const session = sessionOf(key);
        return ids.map((id) => {
          const found = [...(allocationsOn(session, key, id) ?? [])];
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
    reserve(key, pod, id) {
      if (!usesClaims(pod)) return;
      const session = sessionOf(key);
      const reason = session.problem ?? refusal(session, key, id);
      if (reason !== undefined) throw new Error(reason);
      const found = [...(allocationsOn(session, key, id) ?? [])];
      for (const claim of session.claims) {
        if (claim.status?.allocation) continue;
        const uid = uidOf(claim);
        const shared = pending.get(uid);
        if (shared) {
          shared.users.add(key);
          continue;
        }
        const allocation = found.shift()!;
        pending.set(uid, { allocation, claim, users: new Set([key]), gang: facts.gang(key) });
        inUse.put(`pending ${uid}`, allocation);
      }
      version++;
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
      return [...(sessions.get(key)?.elsewhere ?? [])].find(({ status }) => {
        const users = status?.reservedFor ?? [];
        return status?.allocation && users.every(({ uid }) => uid === pod.metadata.uid);
      });
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
