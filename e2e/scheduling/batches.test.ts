/**
 * Pods that are placed several at a time, by the real components: in the order in which they are bound, every single one keeps what it asks
 * for at that moment, as if there were no batches.
 */
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import { builtPlugins } from "#plugins/build.ts";
import type { Node, Pod, TopologySpreadConstraint } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { startOurs } from "./ours.ts";

const NODES = { group: "", version: "v1", resource: "nodes" };
const PODS = { group: "", version: "v1", resource: "pods" };
const HOST = "kubernetes.io/hostname";
const ZONE = "topology.kubernetes.io/zone";
/** Six nodes, four and two. */
const ZONES = [..."aaaaaabbbbcc"];
const built = builtPlugins(resolve(import.meta.dirname, "../../plugins/dist"));
const skip = built.length > 0 ? false : "the components are not built";

const nodes: Node[] = ZONES.map((zone, i) => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: `n${i}`, labels: { [HOST]: `n${i}`, [ZONE]: zone } },
  status: { allocatable: { cpu: "32", memory: "64Gi", pods: "110" } },
}));
const labelsOf = (node: string) => nodes.find(({ metadata }) => metadata.name === node)!.metadata.labels!;

const apart = (app: string, topologyKey: string): Pod["spec"] => ({
  containers: [],
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey, labelSelector: { matchLabels: { app } } }],
    },
  },
});
const spread = (app: string, ...skews: [key: string, maxSkew: number][]): Pod["spec"] => ({
  containers: [],
  topologySpreadConstraints: skews.map(([topologyKey, maxSkew]) => ({
    maxSkew,
    topologyKey,
    whenUnsatisfiable: "DoNotSchedule",
    labelSelector: { matchLabels: { app } },
  })),
});
const near = (app: string): Pod["spec"] => ({
  containers: [],
  affinity: {
    podAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: ZONE, labelSelector: { matchLabels: { app } } }],
    },
  },
});
const KINDS: Record<string, { spec: Pod["spec"]; count: number; fit: number }> = {
  zones: { spec: spread("zones", [ZONE, 1]), count: 40, fit: 40 },
  hosts: { spec: spread("hosts", [HOST, 1]), count: 40, fit: 40 },
  // Four in each zone: two on each node of zone c, where other nodes may have none.
  both: { spec: spread("both", [ZONE, 2], [HOST, 2]), count: 12, fit: 12 },
  lonely: { spec: apart("lonely", HOST), count: 14, fit: 12 },
  zonal: { spec: apart("zonal", ZONE), count: 5, fit: 3 },
  near: { spec: near("near"), count: 20, fit: 20 },
};

/** How many of the app are where, by a label's values. */
function domains(placed: ReadonlyMap<string, string[]>, app: string, key: string): Map<string, number> {
  const counts = new Map(nodes.map(({ metadata }) => [metadata.labels![key]!, 0]));
  for (const node of placed.get(app) ?? []) {
    const value = labelsOf(node)[key]!;
    counts.set(value, counts.get(value)! + 1);
  }
  return counts;
}

/** What the pod's own terms say against its node, at the moment of its binding. */
function faults(placed: ReadonlyMap<string, string[]>, app: string, node: string): string[] {
  const spec = KINDS[app]!.spec!;
  const found: string[] = [];
  const at = (key: string) => domains(placed, app, key).get(labelsOf(node)[key]!)!;
  for (const { topologyKey, maxSkew } of spec.topologySpreadConstraints ?? ([] as TopologySpreadConstraint[])) {
    const least = Math.min(...domains(placed, app, topologyKey).values());
    const skew = at(topologyKey) + 1 - least;
    if (skew > maxSkew) found.push(`${app} on ${node}: skew ${skew} over ${topologyKey}`);
  }
  const { podAntiAffinity, podAffinity } = spec.affinity ?? {};
  for (const { topologyKey } of podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
    if (at(topologyKey) > 0) found.push(`${app} on ${node}: not alone by ${topologyKey}`);
  }
  for (const { topologyKey } of podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
    const first = (placed.get(app) ?? []).length === 0;
    if (!first && at(topologyKey) === 0) found.push(`${app} on ${node}: nobody near by ${topologyKey}`);
  }
  return found;
}

test("each pod of a batch keeps its terms at the moment of its binding", { skip }, async (t) => {
  const api = createFakeApi();
  for (const node of nodes) await api.client.create<Node>(NODES, node);
  for (let i = 0; i < 40; i++) {
    for (const [app, { spec, count }] of Object.entries(KINDS)) {
      if (i >= count) continue;
      const containers = [{ name: "c", image: "pause", resources: { requests: { cpu: "10m" } } }];
      await api.client.create<Pod>(PODS, {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: `${app}-${i}`, namespace: "default", labels: { app } },
        spec: { ...spec, containers },
      });
    }
  }
  const placed = new Map<string, string[]>();
  const wrong: string[] = [];
  api.intercept((_, __, object: KubeObject & { target?: { name: string } }) => {
    if (object.kind !== "Binding" || !object.target) return;
    const app = object.metadata.name!.split("-")[0]!;
    const node = object.target.name;
    wrong.push(...faults(placed, app, node));
    placed.set(app, [...(placed.get(app) ?? []), node]);
  });
  const running = await startOurs(api.client);
  t.after(() => running.stop());
  const fit = Object.fromEntries(Object.entries(KINDS).map(([app, kind]) => [app, kind.fit]));
  const bound = () => Object.fromEntries(Object.keys(KINDS).map((app) => [app, placed.get(app)?.length ?? 0]));
  const isRefused = ({ status }: Pod) => status?.conditions?.some(({ reason }) => reason === "Unschedulable");
  const left = Object.values(KINDS).reduce((sum, { count, fit: some }) => sum + count - some, 0);
  await until(async () => {
    const { items } = await api.client.list<Pod>(PODS);
    return items.filter(({ spec }) => !spec?.nodeName).length === left && items.filter(isRefused).length >= left;
  }, 30_000);
  assert.deepEqual(wrong, []);
  assert.deepEqual(bound(), fit);
});
