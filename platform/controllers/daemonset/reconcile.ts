/** Which daemons to make and to delete, and the status: pure (upstream: pkg/controller/daemon/{daemon_controller,update}.go). */
import type { DaemonSet, DaemonSetStatus, Node, Pod } from "#sdk/api/generated/types.ts";
import { scaledValue } from "#sdk/api/intstr.ts";
import { availability, isReady, isTerminating, withoutZeros } from "../objects.ts";
import { HASH_LABEL, nodeOf, nodeWants } from "./pods.ts";

export interface DaemonInput {
  ds: DaemonSet;
  nodes: readonly Node[];
  /** All it controls. */
  pods: readonly Pod[];
  /** The hash of the present template. */
  hash: string;
  now: number;
}

export interface DaemonPlan {
  /** Names of nodes that get a daemon. */
  create: string[];
  remove: Pod[];
  /** Those of `remove` that have failed. */
  failed: Pod[];
  recheckMs?: number;
}

const isAvailable = (ds: DaemonSet, pod: Pod, now: number): boolean =>
  availability(pod, ds.spec?.minReadySeconds ?? 0, now).available;
const age = (pod: Pod): number => Date.parse(pod.metadata.creationTimestamp ?? "") || 0;
const oldestFirst = (a: Pod, b: Pod): number => {
  const assigned = Number(Boolean(b.spec?.nodeName)) - Number(Boolean(a.spec?.nodeName));
  return assigned || age(a) - age(b) || ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1);
};

export function byNode(pods: readonly Pod[]): Map<string, Pod[]> {
  const map = new Map<string, Pod[]>();
  for (const pod of pods) {
    const node = nodeOf(pod);
    if (node === undefined) continue;
    const present = map.get(node);
    if (present) present.push(pod);
    else map.set(node, [pod]);
  }
  return map;
}

function limits(ds: DaemonSet, desired: number): { surge: number; unavailable: number } {
  const rolling = ds.spec?.updateStrategy?.rollingUpdate;
  const surge = desired === 0 ? 0 : scaledValue(rolling?.maxSurge ?? 0, desired, true);
  const unavailable = scaledValue(rolling?.maxUnavailable ?? 1, desired, true);
  return { surge, unavailable: surge === 0 && unavailable === 0 && desired > 0 ? 1 : unavailable };
}

/** Every node that wants a daemon gets one; of several on a node the oldest stays; failed ones are made anew. */
export function planDaemons(input: DaemonInput): DaemonPlan {
  const { ds, nodes, now } = input;
  const on = byNode(input.pods);
  const wants = new Map(nodes.map((node) => [node.metadata.name ?? "", nodeWants(ds, node)]));
  const desired = [...wants.values()].filter((w) => w.run).length;
  const rolling = ds.spec?.updateStrategy?.type !== "OnDelete";
  const { surge, unavailable } = limits(ds, desired);
  const plan: DaemonPlan = { create: [], remove: [], failed: [] };
  for (const [name, { run, stay }] of wants) {
    const pods = on.get(name) ?? [];
    if (run && pods.length === 0) plan.create.push(name);
    else if (!stay) plan.remove.push(...pods.filter((pod) => !isTerminating(pod)));
    else keepOne(input, pods, run, rolling && surge > 0, plan);
  }
  // A pod of a node that is gone is the pod collector's; one that was never bound there goes now.
  for (const [name, pods] of on) {
    if (!wants.has(name)) plan.remove.push(...pods.filter((pod) => !pod.spec?.nodeName && !isTerminating(pod)));
  }
  if (rolling && surge === 0) replaceOld(input, on, wants, unavailable, plan);
  else if (rolling) surgeNew(input, on, wants, surge, plan);
  const waits = input.pods.flatMap((pod) => availability(pod, ds.spec?.minReadySeconds ?? 0, now).inMs ?? []);
  return waits.length > 0 ? { ...plan, recheckMs: Math.min(...waits) } : plan;
}

function keepOne({ ds, hash, now }: DaemonInput, pods: Pod[], run: boolean, surging: boolean, plan: DaemonPlan): void {
  const alive = pods.filter((pod) => !isTerminating(pod));
  const failed = alive.filter((pod) => pod.status?.phase === "Failed");
  // Finished with success happens where a daemon ends although it is told to restart always: it is made anew too.
  const ended = alive.filter((pod) => pod.status?.phase === "Succeeded");
  plan.failed.push(...failed);
  plan.remove.push(...failed, ...ended);
  const running = alive.filter((pod) => !failed.includes(pod) && !ended.includes(pod)).toSorted(oldestFirst);
  if (!run || running.length <= 1) return;
  if (!surging) return void plan.remove.push(...running.slice(1));
  const [old, current] = [
    running.filter((pod) => pod.metadata.labels?.[HASH_LABEL] !== hash),
    running.filter((pod) => pod.metadata.labels?.[HASH_LABEL] === hash),
  ];
  plan.remove.push(...old.slice(1), ...current.slice(1));
  // The new one has taken over.
  if (old[0] && current[0] && isAvailable(ds, current[0], now)) plan.remove.push(old[0]);
}

type Wants = Map<string, { run: boolean; stay: boolean }>;

/** Old daemons go, first those that serve nobody, then as many as may be unavailable. */
function replaceOld(
  { ds, hash, now }: DaemonInput,
  on: Map<string, Pod[]>,
  wants: Wants,
  most: number,
  plan: DaemonPlan,
) {
  let unavailable = 0;
  const candidates: Pod[] = [];
  const going = new Set(plan.remove);
  for (const [name, { run }] of wants) {
    if (!run) continue;
    const pods = (on.get(name) ?? []).filter((pod) => !isTerminating(pod) && !going.has(pod));
    const [pod] = pods;
    if (!pod || pods.length > 1) unavailable++;
    else if (pod.metadata.labels?.[HASH_LABEL] === hash) unavailable += isAvailable(ds, pod, now) ? 0 : 1;
    else if (isAvailable(ds, pod, now)) candidates.push(pod);
    else {
      plan.remove.push(pod);
      unavailable++;
    }
  }
  plan.remove.push(...candidates.slice(0, Math.max(0, most - unavailable)));
}

/** New daemons beside old ones: at once where the old one serves nobody, elsewhere as many as may be too many. */
function surgeNew(
  { ds, hash, now }: DaemonInput,
  on: Map<string, Pod[]>,
  wants: Wants,
  most: number,
  plan: DaemonPlan,
) {
  let surging = 0;
  const candidates: string[] = [];
  const going = new Set(plan.remove);
  for (const [name, { run }] of wants) {
    const pods = (on.get(name) ?? []).filter((pod) => !isTerminating(pod) && !going.has(pod));
    if (!run || pods.length === 0) continue;
    const current = pods.find((pod) => pod.metadata.labels?.[HASH_LABEL] === hash);
    const old = pods.find((pod) => pod.metadata.labels?.[HASH_LABEL] !== hash);
    if (!old) continue;
    if (current) surging += isAvailable(ds, current, now) ? 0 : 1;
    else if (isAvailable(ds, old, now)) candidates.push(name);
    else {
      plan.create.push(name);
      surging++;
    }
  }
  plan.create.push(...candidates.slice(0, Math.max(0, most - surging)));
}

export function daemonStatus({ ds, nodes, pods, hash, now }: DaemonInput, collisions: number): DaemonSetStatus {
  const on = byNode(pods);
  const counts = { desired: 0, current: 0, misscheduled: 0, ready: 0, updated: 0, available: 0 };
  for (const node of nodes) {
    const { run } = nodeWants(ds, node);
    const here = (on.get(node.metadata.name ?? "") ?? []).toSorted(oldestFirst);
    if (run) counts.desired++;
    if (here.length > 0) run ? counts.current++ : counts.misscheduled++;
    if (!run) continue;
    // With a surge there are two: the better one speaks for the node.
    const ready = here.filter(isReady);
    if (ready.length > 0) counts.ready++;
    if (ready.some((pod) => isAvailable(ds, pod, now))) counts.available++;
    if (here.some((pod) => pod.metadata.labels?.[HASH_LABEL] === hash)) counts.updated++;
  }
  const { collisionCount, conditions } = ds.status ?? {};
  return {
    currentNumberScheduled: counts.current,
    numberMisscheduled: counts.misscheduled,
    desiredNumberScheduled: counts.desired,
    numberReady: counts.ready,
    observedGeneration: ds.metadata.generation,
    ...withoutZeros({
      updatedNumberScheduled: counts.updated,
      numberAvailable: counts.available,
      numberUnavailable: counts.desired - counts.available,
    }),
    ...(collisions > 0 || collisionCount !== undefined ? { collisionCount: collisions } : {}),
    ...(conditions ? { conditions } : {}),
  };
}
