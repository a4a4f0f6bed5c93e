/**
 * Devices for the claims of one pod on one node (upstream: dynamic-resource-allocation/structured). All combinations are tried in order, the
 * first that holds is taken: claims, their requests and alternatives as written, devices by pool, slice and place in it.
 */
import { randomUUID } from "node:crypto";
import { messageOf } from "#platform/base/log.ts";
import { tolerates } from "#platform/rules/node-fit.ts";
import type {
  AllocationResult,
  CapacityRequirements,
  DeviceClass,
  DeviceRequest,
  DeviceSelector,
  DeviceToleration,
  Node,
  ResourceClaim,
} from "#sdk/api/generated/types.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import { consumed, hasCapacity, plus, type Taken } from "./capacity.ts";
import { type Constraint, constraintOf } from "./constraints.ts";
import { type Candidate, gatherPools, isOn, type Pool, type PoolIndex } from "./pools.ts";
import { type Given, resultOf } from "./result.ts";
import { selects } from "./selectors.ts";

/** Devices of one claim (resource.k8s.io's AllocationResultsMaxSize). */
export const RESULTS_MAX = 32;
/** Devices tried for one pod on one node: a search without end would stop the scheduler. */
const STEPS_MAX = 100_000;

/** What claims have already. */
export interface InUse {
  /** By "driver/pool/device". */
  whole: Pick<ReadonlySet<string>, "has">;
  /** Of devices that several may have. */
  shared: Pick<ReadonlyMap<string, Taken>, "get" | "has">;
}

/** A request, or one of its alternatives. */
export interface Wanted {
  /** "request" or "request/alternative". */
  name: string;
  class: DeviceClass;
  all: boolean;
  count: number;
  adminAccess: boolean | undefined;
  selectors: readonly DeviceSelector[];
  tolerations: readonly DeviceToleration[];
  capacity: CapacityRequirements | undefined;
}

interface Request extends Wanted {
  /** Those that will do, as far as was asked. */
  selected: Map<Candidate, boolean>;
  /** For `all`: which these are. */
  devices: Candidate[];
}

type Outcome = "done" | "failed" | "tooMany";

export interface Problem {
  claims: readonly ResourceClaim[];
  node: Node;
  pools: PoolIndex;
  inUse: InUse;
  /** Throws where there is none. */
  classOf(claim: ResourceClaim, name: string): DeviceClass;
}

const claimText = ({ metadata }: ResourceClaim) => `${metadata.namespace}/${metadata.name}`;

/** One result a claim, in their order; undefined where the node has not enough. Throws an Error where a claim or class cannot be used. */
export function allocate(problem: Problem): AllocationResult[] | undefined {
  return new Allocation(problem).run();
}

class Allocation {
  readonly #problem: Problem;
  readonly #pools: readonly Pool[];
  /** From which is chosen one by one. */
  readonly #candidates: readonly Candidate[];
  /** By claim and request: its alternatives, or itself. */
  readonly #requests: Request[][][];
  readonly #constraints: Constraint[][];
  /** By claim and request: which of the alternatives. */
  readonly #chosen: number[][];
  readonly #given: Given[][];
  /** Devices that this search has taken whole. */
  readonly #taken = new Map<string, number[]>();
  readonly #shares = new Map<string, { count: number; taken: Taken }>();
  readonly #counters = new Map<Pool, Map<string, bigint>>();
  #steps = 0;

  constructor(problem: Problem) {
    this.#problem = problem;
    this.#pools = gatherPools(problem.pools, problem.node);
    this.#candidates = this.#pools.flatMap((pool) => (pool.incomplete || pool.invalid ? [] : pool.devices));
    this.#given = problem.claims.map(() => []);
    this.#chosen = problem.claims.map(() => []);
    this.#requests = problem.claims.map((claim) =>
      (claim.spec.devices?.requests ?? []).map((request) => this.#requestsOf(claim, request)),
    );
    this.#constraints = problem.claims.map((claim) =>
      (claim.spec.devices?.constraints ?? []).map((constraint, i) => {
        const made = constraintOf(constraint);
        if (made) return made;
        throw new Error(`claim ${claimText(claim)}, constraint #${i}: empty constraint (unsupported constraint type?)`);
      }),
    );
  }

  run(): AllocationResult[] | undefined {
    for (const [c, requests] of this.#requests.entries()) {
      const least = requests.reduce((sum, of) => sum + Math.min(...of.map(({ count }) => count)), 0);
      if (least > RESULTS_MAX) {
        const claim = claimText(this.#problem.claims[c]!);
        throw new Error(
          `claim ${claim}: number of requested devices ${least} exceeds the claim limit of ${RESULTS_MAX}`,
        );
      }
    }
    if (this.#claim(0) !== "done") return undefined;
    return this.#problem.claims.map((claim, c) => {
      const used = this.#requests[c]!.map((of, r) => of[this.#chosen[c]![r] ?? 0]!);
      return resultOf(claim, used, this.#given[c]!, this.#problem.node);
    });
  }

  #requestsOf(claim: ResourceClaim, { name, exactly, firstAvailable = [] }: DeviceRequest): Request[] {
    const all = exactly
      ? [{ ...exactly, name }]
      : firstAvailable.map((other) => ({ ...other, name: `${name}/${other.name}`, adminAccess: undefined }));
    if (all.length === 0) throw new Error(`claim ${claimText(claim)}, request ${name}: unknown request type`);
    return all.map((wanted) => {
      const { allocationMode: mode = "ExactCount", count = 1, deviceClassName } = wanted;
      if (mode !== "All" && mode !== "ExactCount") {
        throw new Error(`claim ${claimText(claim)}, request ${wanted.name}: unsupported count mode ${mode}`);
      }
      const request: Request = {
        name: wanted.name,
        class: this.#problem.classOf(claim, deviceClassName),
        all: mode === "All",
        count,
        adminAccess: wanted.adminAccess,
        selectors: wanted.selectors ?? [],
        tolerations: wanted.tolerations ?? [],
        capacity: wanted.capacity,
        selected: new Map(),
        devices: [],
      };
      return request.all ? this.#withAll(claim, request) : request;
    });
  }

  #withAll(claim: ResourceClaim, request: Request): Request {
    for (const pool of this.#pools) {
      const state = pool.incomplete ? "being updated" : pool.invalid ? "invalid" : undefined;
      if (state) {
        const what = `claim ${claimText(claim)}, request ${request.name}`;
        throw new Error(`${what}: asks for all devices, but resource pool ${pool.id} is currently ${state}`);
      }
      for (const candidate of pool.devices) {
        const suits = this.#suits(claim, request, candidate);
        if (suits && this.#hasRoom(request, candidate)) request.devices.push(candidate);
      }
    }
    request.count = request.devices.length;
    return request;
  }

  #claim(c: number): Outcome {
    return c >= this.#problem.claims.length ? "done" : this.#request(c, 0);
  }

  #request(c: number, r: number): Outcome {
    const alternatives = this.#requests[c]![r];
    if (!alternatives) {
      // Another choice for this claim may leave a later one with an alternative of fewer devices.
      const rest = this.#claim(c + 1);
      return rest === "tooMany" ? "failed" : rest;
    }
    let outcome: Outcome = "tooMany";
    for (const [i, request] of alternatives.entries()) {
      this.#chosen[c]![r] = i;
      const tried = this.#device(c, r, request, 0, 0);
      if (tried === "done") return tried;
      if (tried === "failed") outcome = "failed";
    }
    return outcome;
  }

  /** The device number `d` of a request: of all, that one; else one of those from `start` on. */
  #device(c: number, r: number, request: Request, d: number, start: number): Outcome {
    if (this.#steps++ > STEPS_MAX) {
      throw new Error(`node ${this.#problem.node.metadata.name}: timed out trying to allocate devices`);
    }
    if (request.all && request.count === 0) return "failed";
    if (d >= request.count) return this.#request(c, r + 1);
    if (this.#given[c]!.length + request.count - d > RESULTS_MAX) return "tooMany";
    const candidates = request.all ? request.devices : this.#candidates;
    const last = request.all ? d + 1 : candidates.length;
    for (let i = request.all ? d : start; i < last; i++) {
      const candidate = candidates[i]!;
      if (!this.#isFree(c, request, candidate)) continue;
      if (!request.all && !this.#suits(this.#problem.claims[c]!, request, candidate)) continue;
      const undo = this.#take(c, request, candidate);
      if (!undo) continue;
      const rest = this.#device(c, r, request, d + 1, i + 1);
      if (rest === "done") return rest;
      undo();
      if (rest === "tooMany") return rest;
    }
    return "failed";
  }

  #isFree(c: number, { adminAccess }: Request, { id }: Candidate): boolean {
    const taken = this.#taken.get(id) ?? [];
    // Whoever looks after devices may have those that others use, each once.
    if (adminAccess) return !taken.includes(c);
    return taken.length === 0 && !this.#problem.inUse.whole.has(id);
  }

  #suits(claim: ResourceClaim, request: Request, candidate: Candidate): boolean {
    const known = request.selected.get(candidate);
    if (known !== undefined) return known;
    const { device, slice } = candidate;
    const all = (selectors: readonly DeviceSelector[], of: string) =>
      selectors.every(({ cel }, i) => {
        try {
          return selects(cel?.expression ?? "", slice.spec.driver, device);
        } catch (error) {
          throw new Error(`${of}: selector #${i}: ${messageOf(error)}`);
        }
      });
    const suits =
      all(request.class.spec.selectors ?? [], `class ${request.class.metadata.name}`) &&
      all(request.selectors, `claim ${claimText(claim)}`) &&
      (slice.spec.perDeviceNodeSelection !== true || isOn(this.#problem.node, device));
    request.selected.set(candidate, suits);
    return suits;
  }

  #hasRoom({ capacity }: Request, { id, device }: Candidate): boolean {
    const before = this.#problem.inUse.shared.get(id) ?? {};
    return hasCapacity(device, capacity, plus(before, this.#shares.get(id)?.taken ?? {}));
  }

  /** Undefined where it cannot be had; otherwise how to give it back. */
  #take(c: number, request: Request, candidate: Candidate): (() => void) | undefined {
    const { id, device } = candidate;
    if (!this.#hasRoom(request, candidate) || !isTolerated(candidate, request)) return undefined;
    const shared = device.allowMultipleAllocations === true;
    // Who has a share of a device uses its counters already.
    const counts = !(shared && (this.#problem.inUse.shared.has(id) || (this.#shares.get(id)?.count ?? 0) > 0));
    if (counts && !this.#count(candidate, 1n)) return undefined;
    const constraints = this.#constraints[c]!;
    const unmet = constraints.findIndex((constraint) => !constraint.add(request.name, candidate));
    const unconstrain = (many: number) => {
      for (const constraint of constraints.slice(0, many).reverse()) constraint.remove(request.name);
      if (counts) this.#count(candidate, -1n);
    };
    if (unmet >= 0) {
      unconstrain(unmet);
      if (!request.all) return undefined;
      const what = `claim ${claimText(this.#problem.claims[c]!)}, request ${request.name}`;
      throw new Error(`${what}: cannot add device ${id} because a claim constraint would not be satisfied`);
    }
    const amounts = shared ? consumed(device, request.capacity) : {};
    const share = Object.fromEntries(Object.entries(amounts).map(([name, { nano }]) => [name, nano]));
    if (shared) this.#share(id, share, 1);
    else this.#taken.set(id, [...(this.#taken.get(id) ?? []), c]);
    this.#given[c]!.push({ request, candidate, amounts, ...(shared ? { shareID: randomUUID() } : {}) });
    return () => {
      this.#given[c]!.pop();
      if (shared) this.#share(id, share, -1);
      else this.#taken.get(id)!.pop();
      unconstrain(constraints.length);
    };
  }

  #share(id: string, amounts: Taken, sign: 1 | -1): void {
    const { count = 0, taken = {} } = this.#shares.get(id) ?? {};
    this.#shares.set(id, { count: count + sign, taken: plus(taken, amounts, sign === 1 ? 1n : -1n) });
  }

  /** Takes of the pool's counters what the device uses, where it is there. */
  #count({ device, pool }: Candidate, sign: 1n | -1n): boolean {
    const uses = (device.consumesCounters ?? []).flatMap(({ counterSet, counters }) =>
      Object.entries(counters).map(
        ([name, { value }]) => [`${counterSet}/${name}`, parseQuantity(value).nano] as const,
      ),
    );
    if (uses.length === 0) return true;
    const left = this.#counters.get(pool) ?? countersLeft(pool, this.#problem.inUse);
    this.#counters.set(pool, left);
    if (sign === 1n && uses.some(([name, amount]) => (left.get(name) ?? 0n) < amount)) return false;
    for (const [name, amount] of uses) left.set(name, (left.get(name) ?? 0n) - sign * amount);
    return true;
  }
}

function isTolerated({ device }: Candidate, { tolerations }: Wanted): boolean {
  const holds = ({ effect }: { effect: string }) => effect === "NoSchedule" || effect === "NoExecute";
  return (device.taints ?? []).every((taint) => !holds(taint) || tolerations.some((t) => tolerates(t, taint)));
}

function countersLeft({ counters, devices, elsewhere }: Pool, inUse: InUse): Map<string, bigint> {
  const left = new Map<string, bigint>();
  for (const set of counters.values())
    for (const [name, { value }] of Object.entries(set.counters))
      left.set(`${set.name}/${name}`, parseQuantity(value).nano);
  for (const { id, device } of [...devices, ...elsewhere]) {
    if (!inUse.whole.has(id) && !inUse.shared.has(id)) continue;
    for (const { counterSet, counters: used } of device.consumesCounters ?? [])
      for (const [name, { value }] of Object.entries(used)) {
        const counter = `${counterSet}/${name}`;
        left.set(counter, (left.get(counter) ?? 0n) - parseQuantity(value).nano);
      }
  }
  return left;
}
