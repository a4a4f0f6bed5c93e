/**
 * A model of optimistic binding, explored whole: whatever several schedulers see, decide and send in whatever order, whatever the API reads late,
 * writes together or answers into the void, no node is over-committed and no pod that fits is left over. What the schedulers know of nodes and
 * what the API decides is the real code (node-table.ts; the pod's strategy, store/postgres/decide.ts); only their messages are the model's.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { podStrategy } from "#platform/apiserver/resources/core/pods/strategy.ts";
import { createNodeTable, demandOf } from "#platform/scheduler/node-table.ts";
import {
  type Key,
  type LedgerChange,
  type Operation,
  ROOT_TENANT,
  type Store,
  type Write,
} from "#platform/store/port.ts";
import { decide, keyText, ledgerText, type State as Stored } from "#platform/store/postgres/decide.ts";
import { resourceByGVR } from "#sdk/api/facts.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";

interface World {
  schedulers: number;
  /** What each pod asks for, in cpus. */
  pods: number[];
  /** What each node has. */
  nodes: number[];
  /** How often a scheduler may die and start again, all together. */
  crashes: number;
}

/** One binding on its way. */
interface Call {
  /** -1: whoever sent it is gone. */
  scheduler: number;
  pod: number;
  node: number;
  /** Who was bound is not told: the scheduler counts on it already. */
  step: "sent" | "refused";
}

interface State {
  /** In the order in which they were bound. */
  log: [pod: number, node: number][];
  /** Of each scheduler: how much of the log it has seen. */
  seen: number[];
  /** Of each scheduler: what it decided and was not told otherwise about. */
  assumed: [pod: number, node: number][][];
  calls: Call[];
  crashes: number;
}

const POD: Key = { tenant: ROOT_TENANT, resource: "pods", namespace: "default", name: "" };
const keyOf = (pod: number): Key => ({ ...POD, name: `p${pod}` });
const podOf = (pod: number, cpu: number, node?: number): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: `p${pod}`, namespace: "default", uid: `u${pod}` },
  spec: {
    containers: [{ name: "c", image: "x", resources: { requests: { cpu: String(cpu) } } }],
    ...(node === undefined ? {} : { nodeName: `n${node}` }),
  },
});
const nodeOf = (node: number, cpu: number): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: `n${node}` },
  status: { allocatable: { cpu: String(cpu), memory: "8Gi", pods: "10" } },
});

/** The API's side: what a binding of this pod to this node writes, by the pod's own strategy. */
async function writesOf({ pods, nodes }: World, guarded: boolean): Promise<Write[][]> {
  const facts = resourceByGVR({ group: "", version: "v1", resource: "pods" });
  const plugin = { spec: { guards: guarded ? ["node-capacity"] : [] } };
  const list = async () => ({ objects: [{ document: JSON.stringify(plugin) }] });
  const { effects } = podStrategy(facts!);
  const context = { tenant: ROOT_TENANT, tenantName: "root", user: { tenant: ROOT_TENANT, name: "x", groups: [] } };
  const write = async (pod: number, node: number): Promise<Write> => {
    const request = {
      context: { ...context, now: 0, requestId: "", signal: new AbortController().signal, warn: () => undefined },
      store: { list } as unknown as Store,
      operation: "update" as const,
      subresource: "binding",
      object: podOf(pod, pods[pod]!, node) as never,
      old: podOf(pod, pods[pod]!) as never,
      dryRun: false,
    };
    const { ledgers = [] } = (await effects?.(request)) ?? {};
    const object = { uid: `u${pod}`, document: "{}", labels: {}, fields: {}, terminating: false };
    // It was read while the pod had no node: at its first revision.
    const operation: Operation = { type: "update", key: keyOf(pod), object, expected: { uid: `u${pod}`, revision: 1 } };
    return { operations: [operation], ledgers: ledgers as LedgerChange[] };
  };
  return await Promise.all(pods.map((_, pod) => Promise.all(nodes.map((__, node) => write(pod, node)))));
}

function storedOf({ pods, nodes }: World, { log }: State): Stored {
  const bound = new Map(log);
  const rows = pods.map((_, pod): [string, Stored["rows"] extends Map<string, infer R> ? R : never] => {
    const revision = bound.has(pod) ? 2 : 1;
    return [keyText(keyOf(pod)), { uid: `u${pod}`, revision, terminating: false }];
  });
  const ledgers = nodes.map((cpu, node): [string, Map<string, { used: number; limit: number }>] => {
    const there = log.filter(([, of]) => of === node).map(([pod]) => pods[pod]! * 1000);
    const used = there.reduce((sum, amount) => sum + amount, 0);
    const amounts = new Map([
      ["cpu", { used, limit: cpu * 1000 }],
      ["pods", { used: there.length, limit: 10 }],
    ]);
    return [ledgerText({ tenant: ROOT_TENANT, ledger: `node/n${node}` }), amounts];
  });
  return { rows: new Map(rows), ledgers: new Map(ledgers) };
}

/** Which nodes a scheduler finds room on, by the table that it would have. */
function createRooms({ pods, nodes }: World) {
  const known = new Map<string, number[][]>();
  return (placed: readonly (readonly [pod: number, node: number])[]): number[][] => {
    const text = JSON.stringify(placed.toSorted((a, b) => a[0] - b[0]));
    let rooms = known.get(text);
    if (!rooms) {
      const table = createNodeTable();
      for (const [node, cpu] of nodes.entries()) table.putNode(nodeOf(node, cpu));
      for (const [pod, node] of placed) table.assume(`p${pod}`, podOf(pod, pods[pod]!), `n${node}`);
      const free = [...table.free()];
      rooms = pods.map((cpu, pod) => {
        const { requests } = demandOf(podOf(pod, cpu));
        return free.flatMap(({ node, free: room }) =>
          room.cpuMilli >= requests.cpuMilli ? [Number(node.metadata.name?.slice(1))] : [],
        );
      });
      known.set(text, rooms);
    }
    return rooms;
  };
}

/** Every state that may come next. */
function createSteps(world: World, writes: readonly (readonly Write[])[]): (state: State) => State[] {
  const rooms = createRooms(world);
  const without = <T>(list: readonly T[], index: number): T[] => list.filter((_, i) => i !== index);
  const put = <T>(list: readonly T[], index: number, value: T): T[] =>
    list.map((old, i) => (i === index ? value : old));

  /** What one scheduler does by itself: sees one more change, decides about a pod, dies. */
  const own = (state: State, s: number): State[] => {
    const next: State[] = [];
    const seen = state.log.slice(0, state.seen[s]);
    const change = state.log[seen.length];
    if (change) {
      const assumed = state.assumed[s]!.filter(([pod]) => pod !== change[0]);
      next.push({ ...state, seen: put(state.seen, s, seen.length + 1), assumed: put(state.assumed, s, assumed) });
    }
    const placed = [...seen, ...state.assumed[s]!];
    const found = rooms(placed);
    for (const pod of world.pods.keys()) {
      const isBusy = state.calls.some((call) => call.scheduler === s && call.pod === pod);
      if (isBusy || placed.some(([of]) => of === pod)) continue;
      for (const node of found[pod]!) {
        const assumed = put<State["assumed"][number]>(state.assumed, s, [...state.assumed[s]!, [pod, node]]);
        next.push({ ...state, assumed, calls: [...state.calls, { scheduler: s, pod, node, step: "sent" }] });
      }
    }
    if (state.crashes > 0) {
      const calls = state.calls.map((call) => (call.scheduler === s ? { ...call, scheduler: -1 } : call));
      const fresh = { seen: put(state.seen, s, state.log.length), assumed: put(state.assumed, s, []) };
      next.push({ ...state, ...fresh, calls, crashes: state.crashes - 1 });
    }
    return next;
  };

  /** The API commits these in one transaction, in this order. */
  const commit = (state: State, indexes: readonly number[]): State => {
    const calls = indexes.map((i) => state.calls[i]!);
    const { results } = decide(
      calls.map(({ pod, node }) => writes[pod]![node]!),
      storedOf(world, state),
      100,
    );
    const log = [...state.log];
    const answered = new Map<number, Call | undefined>();
    for (const [n, result] of results.entries()) {
      const call = calls[n]!;
      if (result.ok) log.push([call.pod, call.node]);
      // Changed since it was read: it is read again.
      const refused = result.ok || result.why === "changed" ? call : { ...call, step: "refused" as const };
      answered.set(indexes[n]!, result.ok ? undefined : refused);
    }
    const left = state.calls.flatMap((call, i) => (answered.has(i) ? (answered.get(i) ?? []) : call));
    return { ...state, log, calls: left };
  };

  const ofCall = (state: State, i: number): State[] => {
    const call = state.calls[i]!;
    if (call.step === "sent") {
      // S2: a batch has a key once.
      const mayJoin = ({ step, pod }: Call) => step === "sent" && pod !== call.pod;
      const together = [...state.calls.keys()].filter((j) => mayJoin(state.calls[j]!));
      const committed = [commit(state, [i]), ...together.map((j) => commit(state, [i, j]))];
      if (!state.log.some(([pod]) => pod === call.pod)) return committed;
      // What the API reads may be behind: it is written to none the less, or seen to have a node.
      return [...committed, { ...state, calls: put(state.calls, i, { ...call, step: "refused" }) }];
    }
    const calls = without(state.calls, i);
    if (call.scheduler < 0) return [{ ...state, calls }];
    const assumed = state.assumed[call.scheduler]!.filter(([pod]) => pod !== call.pod);
    return [{ ...state, calls, assumed: put(state.assumed, call.scheduler, assumed) }];
  };

  return (state) => [
    ...state.seen.flatMap((_, s) => own(state, s)),
    ...state.calls.flatMap((_, i) => ofCall(state, i)),
  ];
}

/** The same for states that differ in the order of what has none. */
function textOf({ log, seen, assumed, calls, crashes }: State): string {
  const sorted = <T>(list: readonly T[]) => list.map((item) => JSON.stringify(item)).sort();
  return JSON.stringify([log, seen, assumed.map(sorted), sorted(calls), crashes]);
}

const usedOf = ({ pods, nodes }: World, { log }: State): number[] =>
  nodes.map((_, node) => log.filter(([, of]) => of === node).reduce((sum, [pod]) => sum + pods[pod]!, 0));

interface Explored {
  states: number;
  /** A state that must not be. */
  overcommitted: State | undefined;
  boundTwice: State | undefined;
  /** Where nothing happens any more. */
  ends: State[];
  /** States from which no end is reached. */
  stuck: number;
}

function explore(world: World, writes: readonly (readonly Write[])[]): Explored {
  const steps = createSteps(world, writes);
  const start: State = {
    log: [],
    seen: Array(world.schedulers).fill(0),
    assumed: Array(world.schedulers).fill([]),
    calls: [],
    crashes: world.crashes,
  };
  const ids = new Map([[textOf(start), 0]]);
  const queue: State[] = [start];
  const from: number[][] = [[]];
  const explored: Explored = { states: 0, overcommitted: undefined, boundTwice: undefined, ends: [], stuck: 0 };
  const ends: number[] = [];
  for (let id = 0; id < queue.length; id++) {
    const state = queue[id]!;
    if (usedOf(world, state).some((used, node) => used > world.nodes[node]!)) explored.overcommitted ??= state;
    if (new Set(state.log.map(([pod]) => pod)).size < state.log.length) explored.boundTwice ??= state;
    let moves = 0;
    for (const other of steps(state)) {
      const text = textOf(other);
      let to = ids.get(text);
      if (to === id) continue;
      // Dying is not something to wait for.
      if (other.crashes === state.crashes) moves++;
      if (to === undefined) {
        to = queue.push(other) - 1;
        ids.set(text, to);
        from.push([]);
      }
      from[to]!.push(id);
    }
    if (moves === 0) ends.push(id);
  }
  const reaching = new Set(ends);
  for (const id of reaching) for (const before of from[id]!) reaching.add(before);
  explored.states = queue.length;
  explored.ends = ends.map((id) => queue[id]!);
  explored.stuck = queue.length - reaching.size;
  return explored;
}

const WORLDS: Record<string, World> = {
  "two schedulers, more pods than room": { schedulers: 2, pods: [1, 1, 1], nodes: [1, 1], crashes: 0 },
  "two schedulers, pods of several sizes": { schedulers: 2, pods: [2, 1, 1], nodes: [2, 1], crashes: 0 },
  "two schedulers of which one dies on the way": { schedulers: 2, pods: [1, 1], nodes: [1, 1], crashes: 1 },
  "three schedulers and the last free node": { schedulers: 3, pods: [1, 1], nodes: [1], crashes: 0 },
};

describe("optimistic binding, in every order", () => {
  for (const [name, world] of Object.entries(WORLDS)) {
    test(`${name}: no node is over-committed, and what fits is bound`, async () => {
      const { states, overcommitted, boundTwice, ends, stuck } = explore(world, await writesOf(world, true));
      deepEqual([overcommitted, boundTwice, stuck], [undefined, undefined, 0]);
      ok(states > 100 && ends.length > 0);
      const rooms = createRooms(world);
      for (const end of ends) {
        const left = rooms(end.log).filter((_, pod) => !end.log.some(([of]) => of === pod));
        ok(
          left.every((nodes) => nodes.length === 0),
          JSON.stringify(end),
        );
        deepEqual([end.calls, end.seen], [[], Array(world.schedulers).fill(end.log.length)]);
      }
    });
  }

  test("without the guard of nodes' capacity, the same exploration finds nodes that are over-committed", async () => {
    const world = WORLDS["two schedulers, more pods than room"]!;
    const { overcommitted, boundTwice } = explore(world, await writesOf(world, false));
    ok(overcommitted);
    equal(boundTwice, undefined);
  });
});
