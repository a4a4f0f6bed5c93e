import assert from "node:assert/strict";
import { test } from "node:test";
import type { Affinity } from "#sdk/api/generated/types.ts";
import { NodeTable } from "#sdk/plugin/scheduling.ts";
import { type Labelled, TopologyRules } from "#sdk/plugin/topology.ts";
import type { NodeDelta, PodClass, PodPlacement } from "#sdk/plugin/types.ts";
import { type AffinityPods, filterRule, groupOf, scoreRule } from "./affinity.ts";
import type { AffinityPod } from "./terms.ts";

const none = { cpuMilli: 0, memory: 0, ephemeralStorage: 0, others: [] };
const podOf = (app: string, affinity: Affinity = {}, more: Partial<AffinityPod> = {}): AffinityPod => ({
  tenant: "root",
  namespaceLabels: { team: "a" },
  metadata: { namespace: "default", labels: { app } },
  spec: { affinity },
  ...more,
});
const term = (app: string, topologyKey = "zone") => ({ topologyKey, labelSelector: { matchLabels: { app } } });
const near = (app: string, key?: string): Affinity => ({
  podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app, key)] },
});
const away = (app: string, key?: string): Affinity => ({
  podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app, key)] },
});
const classOf = (pod: AffinityPod): PodClass => ({
  requests: none,
  nonzeroCpuMilli: 0,
  nonzeroMemory: 0,
  object: JSON.stringify(pod),
});

/** Nodes 0 and 1 in zone a, 2 in zone b, 3 nowhere; the groups are there from the start. */
function setUp(groups: AffinityPod[], placements: PodPlacement[] = [], hardWeight?: number) {
  const table = new NodeTable<Labelled, AffinityPods>(
    (object) => ({ labels: JSON.parse(object) as Record<string, string> }),
    (object) => groupOf(JSON.parse(object) as AffinityPod),
  );
  const rules = new TopologyRules(table, (pod) => {
    const asked = JSON.parse(pod.object) as AffinityPod;
    const present = table.groups.values();
    return hardWeight === undefined ? filterRule(asked, present) : scoreRule(asked, present, hardWeight);
  });
  const sync = (delta: Partial<NodeDelta>) => {
    const full = {
      whole: false,
      removed: [],
      nodes: [],
      usage: [],
      groups: [],
      placements: [],
      forgotten: [],
      ...delta,
    };
    rules.applied(full, table.apply(full));
  };
  sync({
    whole: true,
    nodes: [{ zone: "a" }, { zone: "a" }, { zone: "b" }, {}].map((labels, id) => ({
      id,
      name: `n${id}`,
      allocatable: none,
      podsMax: 10,
      object: JSON.stringify({ ...labels, host: `n${id}` }),
    })),
    groups: groups.map((pod, id) => ({ id, object: JSON.stringify(pod) })),
    placements,
  });
  return { sync, values: (pod: AffinityPod) => rules.values(classOf(pod), [0, 1, 2, 3]) };
}
const [FITS, NOT_NEAR, TOO_NEAR, UNWELCOME] = [0, 1, 2, 3];

test("a pod goes to the domains of those it must be near to", () => {
  const { values, sync } = setUp([podOf("db")], [{ node: 2, group: 0, count: 1 }]);
  assert.deepEqual(values(podOf("web", near("db"))), [NOT_NEAR, NOT_NEAR, FITS, NOT_NEAR]);
  sync({ placements: [{ node: 0, group: 0, count: 1 }] });
  assert.deepEqual(values(podOf("web", near("db"))), [FITS, FITS, FITS, NOT_NEAR]);
});

test("the first of those that want to be near to each other goes anywhere with the label, the next to it", () => {
  const pod = podOf("web", near("web"));
  const { values, sync } = setUp([pod]);
  assert.deepEqual(values(pod), [FITS, FITS, FITS, NOT_NEAR]);
  sync({ placements: [{ node: 2, group: 0, count: 1 }] });
  assert.deepEqual(values(pod), [NOT_NEAR, NOT_NEAR, FITS, NOT_NEAR]);
  assert.deepEqual(setUp([]).values(podOf("web", near("db")))[0], NOT_NEAR);
});

test("a pod keeps away from those it says, and those that say so keep it away", () => {
  const { values } = setUp(
    [podOf("db"), podOf("cache", away("web", "host"))],
    [
      { node: 0, group: 0, count: 1 },
      { node: 2, group: 1, count: 1 },
    ],
  );
  assert.deepEqual(values(podOf("web", away("db"))), [TOO_NEAR, TOO_NEAR, UNWELCOME, FITS]);
  assert.deepEqual(values(podOf("other")), [FITS, FITS, FITS, FITS]);
});

test("terms mean their own namespace, those they name or select, and never another tenant", () => {
  const elsewhere = podOf("db", {}, { metadata: { namespace: "data", labels: { app: "db" } } });
  const foreign = { ...podOf("db"), tenant: "other" };
  const { values } = setUp(
    [elsewhere, foreign],
    [
      { node: 0, group: 0, count: 1 },
      { node: 2, group: 1, count: 1 },
    ],
  );
  const required = (more: object): Affinity => ({
    podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ ...term("db"), ...more }] },
  });
  assert.deepEqual(values(podOf("web", required({}))), [FITS, FITS, FITS, FITS]);
  assert.deepEqual(values(podOf("web", required({ namespaces: ["data"] }))), [TOO_NEAR, TOO_NEAR, FITS, FITS]);
  const selected = required({ namespaceSelector: { matchLabels: { team: "a" } } });
  assert.deepEqual(values(podOf("web", selected)), [TOO_NEAR, TOO_NEAR, FITS, FITS]);
  assert.deepEqual(values(podOf("web", required({ namespaceSelector: {} }))), [TOO_NEAR, TOO_NEAR, FITS, FITS]);
});

test("preferences of the pod and of those there add up by domain", () => {
  const prefers = (kind: "podAffinity" | "podAntiAffinity", app: string, weight: number): Affinity => ({
    [kind]: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight, podAffinityTerm: term(app) }] },
  });
  const { values } = setUp(
    [podOf("db"), podOf("cache", prefers("podAffinity", "web", 7)), podOf("log", near("web", "host"))],
    [
      { node: 0, group: 0, count: 2 },
      { node: 2, group: 1, count: 1 },
      { node: 3, group: 2, count: 1 },
    ],
    5,
  );
  assert.deepEqual(values(podOf("web", prefers("podAntiAffinity", "db", 10))), [-20, -20, 7, 5]);
});
