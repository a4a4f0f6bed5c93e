import assert from "node:assert/strict";
import { test } from "node:test";
import type { TopologySpreadConstraint } from "#sdk/api/generated/types.ts";
import { NodeTable } from "#sdk/plugin/scheduling.ts";
import { TopologyRules } from "#sdk/plugin/topology.ts";
import type { NodeDelta, PodClass, PodPlacement } from "#sdk/plugin/types.ts";
import { filterRule, type SpreadNode, type SpreadPod, type SpreadPods, scoreRule } from "./spread.ts";

const none = { cpuMilli: 0, memory: 0, ephemeralStorage: 0, others: [] };
const emptyDelta: NodeDelta = {
  whole: false,
  removed: [],
  nodes: [],
  usage: [],
  groups: [],
  placements: [],
  forgotten: [],
};

/** Nodes by number with these labels; group 0 is pods of app=web in the namespace "default", group 1 those of app=db. */
function setUp(nodes: Record<string, string>[], make: typeof filterRule | typeof scoreRule = filterRule) {
  const table = new NodeTable<SpreadNode, SpreadPods>(
    (object) => JSON.parse(object) as SpreadNode,
    (object) => JSON.parse(object) as SpreadPods,
  );
  const rules = new TopologyRules(table, (pod) => make(JSON.parse(pod.object) as SpreadPod));
  const sync = (delta: Partial<NodeDelta>) => {
    const full = { ...emptyDelta, ...delta };
    rules.applied(full, table.apply(full));
  };
  const group = (id: number, app: string) => ({
    id,
    object: JSON.stringify({ tenant: "root", namespace: "default", labels: { app }, terminating: false }),
  });
  sync({
    whole: true,
    nodes: nodes.map((labels, id) => ({
      id,
      name: `n${id}`,
      allocatable: none,
      podsMax: 10,
      object: JSON.stringify({ name: `n${id}`, labels, taints: [] }),
    })),
    groups: [group(0, "web"), group(1, "db")],
  });
  const place = (...placements: PodPlacement[]) => sync({ placements });
  const values = (pod: PodClass) => rules.values(pod, [...nodes.keys()]);
  return { rules, sync, place, values };
}

const classOf = (constraints: Partial<TopologySpreadConstraint>[], more: Partial<SpreadPod["spec"]> = {}): PodClass => {
  const topologySpreadConstraints = constraints.map((constraint) => ({
    maxSkew: 1,
    topologyKey: "zone",
    whenUnsatisfiable: "DoNotSchedule",
    labelSelector: { matchLabels: { app: "web" } },
    ...constraint,
  }));
  const pod: SpreadPod = {
    tenant: "root",
    metadata: { namespace: "default", labels: { app: "web" } },
    spec: { containers: [], ...more, topologySpreadConstraints },
  };
  return { requests: none, nonzeroCpuMilli: 0, nonzeroMemory: 0, object: JSON.stringify(pod) };
};
const zones: Record<string, string>[] = [{ zone: "a" }, { zone: "a" }, { zone: "b" }, {}];
const [FITS, NO_LABEL, TOO_MANY] = [0, 1, 2];

test("a domain that has maxSkew more than the emptiest is full, and nodes without the label are out", () => {
  const { place, values } = setUp(zones);
  const pod = classOf([{}]);
  assert.deepEqual(values(pod), [FITS, FITS, FITS, NO_LABEL]);
  place({ node: 0, group: 0, count: 1 }, { node: 1, group: 1, count: 9 });
  assert.deepEqual(values(pod), [TOO_MANY, TOO_MANY, FITS, NO_LABEL]);
  place({ node: 2, group: 0, count: 1 });
  assert.deepEqual(values(pod), [FITS, FITS, FITS, NO_LABEL]);
});

test("only what changed is told, and everything again when nodes change", () => {
  const { rules, place, sync } = setUp(zones);
  const pod = classOf([{}]);
  assert.deepEqual(rules.update(pod), { whole: true, nodes: [3], values: [NO_LABEL] });
  place({ node: 1, group: 1, count: 1 });
  assert.deepEqual(rules.update(pod), { whole: false, nodes: [], values: [] });
  place({ node: 1, group: 0, count: 1 });
  assert.deepEqual(rules.update(pod), { whole: false, nodes: [0, 1], values: [TOO_MANY, TOO_MANY] });
  place({ node: 1, group: 0, count: 0 });
  rules.values(pod, [0]);
  assert.deepEqual(rules.update(pod), { whole: false, nodes: [0, 1], values: [FITS, FITS] });
  sync({ removed: [3] });
  assert.deepEqual(rules.update(pod), { whole: true, nodes: [], values: [] });
});

test("too few domains count as an empty one", () => {
  const { place, values } = setUp(zones);
  const pod = classOf([{ minDomains: 3 }]);
  place({ node: 0, group: 0, count: 1 }, { node: 2, group: 0, count: 1 });
  assert.deepEqual(values(pod), [TOO_MANY, TOO_MANY, TOO_MANY, NO_LABEL]);
});

test("nodes that the pod's own selector excludes do not count, unless the constraint ignores it", () => {
  const nodes = [
    { zone: "a", disk: "ssd" },
    { zone: "b", disk: "hdd" },
  ];
  const { place, values } = setUp(nodes);
  place({ node: 0, group: 0, count: 1 });
  const selector = { nodeSelector: { disk: "ssd" } };
  assert.deepEqual(values(classOf([{}], selector))[0], FITS);
  assert.deepEqual(values(classOf([{ nodeAffinityPolicy: "Ignore" }], selector))[0], TOO_MANY);
});

test("pods of other namespaces, other tenants and terminating pods do not count", () => {
  const { sync, values } = setUp(zones);
  const others = [{ tenant: "other" }, { namespace: "kube-system" }, { terminating: true }];
  const web = { tenant: "root", namespace: "default", labels: { app: "web" }, terminating: false };
  const groups = others.map((other, i) => ({ id: 10 + i, object: JSON.stringify({ ...web, ...other }) }));
  sync({ groups, placements: groups.map(({ id }) => ({ node: 0, group: id, count: 5 })) });
  assert.deepEqual(values(classOf([{}]))[0], FITS);
});

test("soft constraints count pods, weighing more where there are many domains", () => {
  const { place, values } = setUp(zones, scoreRule);
  const soft = classOf([{ whenUnsatisfiable: "ScheduleAnyway", maxSkew: 1 }]);
  place({ node: 0, group: 0, count: 2 });
  assert.deepEqual(values(soft), [Math.round(2 * Math.log(4)), Math.round(2 * Math.log(4)), 0, -1]);
});

test("the last pod of a group is uncounted when the group is forgotten with it", () => {
  const { sync, place, values } = setUp(zones);
  const pod = classOf([{}]);
  place({ node: 0, group: 0, count: 1 });
  assert.deepEqual(values(pod)[0], TOO_MANY);
  sync({ placements: [{ node: 0, group: 0, count: 0 }], forgotten: [0] });
  assert.deepEqual(values(pod)[0], FITS);
});
