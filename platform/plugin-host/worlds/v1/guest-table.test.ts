import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeTable } from "#sdk/plugin/scheduling.ts";
import { GuestTable, isEmpty, type NodeDelta } from "./guest-table.ts";

const none = { cpuMilli: 0, memory: 0, ephemeralStorage: 0, others: [] };
const pod = (app: string, name: string) => ({ metadata: { name, labels: { app } } });
const entry = (id: number, zone = "a") => ({
  id,
  name: `n${id}`,
  allocatable: none,
  podsMax: 10,
  node: { metadata: { labels: { zone }, resourceVersion: String(Math.random()) } },
});
const delta = (change: Partial<NodeDelta>): NodeDelta => ({
  whole: false,
  removed: [],
  nodes: [],
  usage: [],
  pods: [],
  ...change,
});
const guestOf = () => new GuestTable(["metadata.labels"], ["metadata.labels"]);

test("a node whose projection did not change is not sent, and pods that look the same are one group", () => {
  const guest = guestOf();
  const first = guest.delta(
    delta({
      whole: true,
      nodes: [entry(0)],
      pods: [{ id: 0, pods: [pod("web", "a"), pod("web", "b"), pod("db", "c")] }],
    }),
  );
  assert.equal(first.nodes.length, 1);
  assert.deepEqual(
    first.placements.map(({ count }) => count),
    [2, 1],
  );
  assert.equal(first.groups.length, 2);
  const second = guest.delta(delta({ nodes: [entry(0)], pods: [{ id: 0, pods: [pod("web", "d")] }] }));
  assert.deepEqual([second.nodes, second.groups], [[], []]);
  assert.deepEqual(
    second.placements.map(({ count }) => count),
    [1, 0],
  );
  assert.equal(second.forgotten.length, 1);
  assert.equal(guest.delta(delta({ nodes: [entry(0, "b")] })).nodes.length, 1);
});

test("without a projection of pods none cross", () => {
  const guest = new GuestTable(["metadata.labels"], undefined);
  const { groups, placements } = guest.delta(
    delta({ whole: true, nodes: [entry(0)], pods: [{ id: 0, pods: [pod("web", "a")] }] }),
  );
  assert.deepEqual([groups, placements], [[], []]);
});

test("what nodes' pods ask for crosses where it is wanted only, and what changes nothing shown is nothing", () => {
  const amounts = { cpuMilli: 1, memory: 1, ephemeralStorage: 0, others: [] };
  const usage = [{ id: 0, requested: amounts, nonzeroCpuMilli: 1, nonzeroMemory: 1, pods: 1 }];
  const without = new GuestTable(["metadata.labels"], undefined, false);
  assert.deepEqual(without.whole(delta({ whole: true, nodes: [entry(0)], usage })).usage, []);
  without.delta(delta({ whole: true, nodes: [entry(0)], usage }));
  assert.ok(isEmpty(without.delta(delta({ nodes: [entry(0)], usage }))));
  assert.ok(!isEmpty(without.delta(delta({ removed: [0] }))));
  const guest = guestOf();
  guest.delta(delta({ whole: true, nodes: [entry(0)] }));
  assert.deepEqual(guest.delta(delta({ usage })).usage, usage);
});

/** Deterministic; 0 ≤ n < below. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

for (let seed = 1; seed <= 20; seed++) {
  test(`whatever changes, instances by deltas and instances that start late know what there is (seed ${seed})`, () => {
    const random = chance(seed);
    const guest = guestOf();
    const truth = new Map<number, object[]>();
    const wholeOf = (): NodeDelta =>
      delta({
        whole: true,
        nodes: [...truth.keys()].map((id) => entry(id)),
        pods: [...truth].map(([id, pods]) => ({ id, pods: [...pods] })),
      });
    const makeTable = () =>
      new NodeTable<string, string>(
        (object) => object,
        (object) => object,
      );
    const tables = [makeTable()];
    tables[0]!.apply(guest.delta(wholeOf()));
    for (let step = 0; step < 60; step++) {
      const id = random(5);
      const change = delta({});
      if (!truth.has(id)) {
        truth.set(id, []);
        change.nodes.push(entry(id));
      } else if (random(8) === 0) {
        truth.delete(id);
        change.removed.push(id);
      }
      const pods = truth.get(id);
      if (pods) {
        if (random(3) === 0) pods.splice(random(pods.length + 1), 1);
        else pods.push(pod(`app${random(4)}`, `p${step}`));
        change.pods.push({ id, pods: [...pods] });
      }
      if (random(10) === 0) {
        const late = makeTable();
        late.apply(guest.whole(wholeOf()));
        tables.push(late);
      }
      const sent = guest.delta(change);
      for (const table of tables) table.apply(sent);
    }
    const labelsOf = (object: object) =>
      JSON.stringify({ metadata: { labels: (object as ReturnType<typeof pod>).metadata.labels } });
    for (const table of tables) {
      assert.deepEqual(
        table.ids(),
        [...truth.keys()].toSorted((a, b) => a - b),
      );
      for (const [id, pods] of truth) {
        const known = [...table.podsOn(table.row(id)!)].flatMap(([group, count]) => Array<string>(count).fill(group));
        assert.deepEqual(known.toSorted(), pods.map(labelsOf).toSorted());
      }
    }
  });
}
