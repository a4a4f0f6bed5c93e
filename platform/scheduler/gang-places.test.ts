import { deepEqual, equal } from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { createFakeApi, type FakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { type FilterPlugin, type NodeDelta, noPlugins } from "./framework.ts";
import { GANG_ANNOTATION, GANG_MIN_ANNOTATION, GANG_TOPOLOGY_ANNOTATION } from "./gangs.ts";
import { cpuFilter, filterOf, setUp } from "./testing.ts";

const PODS = { group: "", version: "v1", resource: "pods" };
const NODES = { group: "", version: "v1", resource: "nodes" };
const RACK = "example.com/rack";

/** As the component node-affinity: what a pod selects nodes by. */
function selectorFilter(): FilterPlugin {
  const labels = new Map<number, Record<string, string>>();
  return filterOf({
    name: "selector",
    scope: "node",
    view: ({ spec }) => JSON.stringify(spec?.nodeSelector ?? {}),
    async sync(delta: NodeDelta) {
      for (const { id, node } of delta.nodes) labels.set(id, node.metadata.labels ?? {});
    },
    async evaluate(pods, ids) {
      return pods.map(({ view }) => {
        const wanted = Object.entries(JSON.parse(view) as Record<string, string>);
        const codes = ids.map((id) => (wanted.every(([key, value]) => labels.get(id)?.[key] === value) ? 0 : 1));
        return {
          codes,
          outcomes: [{ reasons: ["node(s) didn't match Pod's node affinity/selector"], unresolvable: true }],
        };
      });
    },
  });
}

const makeNode = (api: FakeApi, name: string, rack: string | undefined, cpu: string) =>
  api.client.create<Node>(NODES, {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, ...(rack ? { labels: { [RACK]: rack } } : {}) },
    status: { allocatable: { cpu, memory: "1Gi", pods: "10" } },
  });

const makeGang = async (
  api: FakeApi,
  gang: string,
  count: number,
  minCount = count,
  more: Partial<Pod["spec"]> = {},
) => {
  const annotations = {
    [GANG_ANNOTATION]: gang,
    [GANG_MIN_ANNOTATION]: `${minCount}`,
    [GANG_TOPOLOGY_ANNOTATION]: RACK,
  };
  for (let i = 0; i < count; i++)
    await api.client.create<Pod>(PODS, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: `${gang}-${i}`, namespace: "default", annotations },
      spec: { containers: [{ name: "c", resources: { requests: { cpu: "1" } } }], ...more },
    });
};

const podsOf = async (api: FakeApi, gang: string) =>
  (await api.client.list<Pod>(PODS)).items.filter(({ metadata: { name } }) => name?.startsWith(`${gang}-`));

/** The racks of the gang's nodes, "-" for pods without one. */
async function racksOf(api: FakeApi, gang: string): Promise<string[]> {
  const nodes = new Map(
    (await api.client.list<Node>(NODES)).items.map(({ metadata }) => [metadata.name, metadata.labels?.[RACK]]),
  );
  return (await podsOf(api, gang)).map(({ spec }) => nodes.get(spec?.nodeName) ?? "-").toSorted();
}

async function start(t: TestContext): Promise<FakeApi> {
  const api = createFakeApi();
  // Six cores in all of a rack of three nodes, eight in a smaller one of two, and as many where there is no rack.
  for (const name of ["a1", "a2", "a3"]) await makeNode(api, name, "a", "2");
  for (const name of ["b1", "b2"]) await makeNode(api, name, "b", "4");
  await makeNode(api, "loose", undefined, "9");
  const filters = [selectorFilter(), cpuFilter()];
  await setUp(t, api, { ...noPlugins, filters: () => filters });
  return api;
}

test("a gang that names a topology key stands in one domain, another gang perhaps in another", async (t) => {
  const api = await start(t);
  await makeGang(api, "eight", 8);
  await until(async () => (await racksOf(api, "eight")).every((rack) => rack === "b"));
  await makeGang(api, "six", 6);
  await until(async () => (await racksOf(api, "six")).every((rack) => rack === "a"));
});

test("where no domain has room for enough, none of it is bound, and each node says why", async (t) => {
  const api = await start(t);
  await makeGang(api, "nine", 9);
  await until(async () => (await podsOf(api, "nine")).every(({ status }) => status?.conditions));
  deepEqual(new Set(await racksOf(api, "nine")), new Set(["-"]));
  equal(
    (await podsOf(api, "nine"))[0]?.status?.conditions?.[0]?.message,
    `gang "nine": 8 of 9 pods fit: 0/6 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 5 Insufficient cpu.`,
  );
});

test("the domain that takes most is taken where enough of the gang fit, and those that come later go there", async (t) => {
  const api = await start(t);
  await makeGang(api, "ten", 10, 7);
  await until(async () => (await racksOf(api, "ten")).filter((rack) => rack === "b").length === 8);
  deepEqual(await racksOf(api, "ten"), ["-", "-", ...Array(8).fill("b")]);
  await makeNode(api, "b3", "b", "2");
  await until(async () => (await racksOf(api, "ten")).every((rack) => rack === "b"));
});

test("room is made for it in one domain", async (t) => {
  const api = await start(t);
  for (const nodeName of ["a1", "b1"]) await makeGang(api, `low-${nodeName}`, 1, 1, { nodeName, priority: 1 });
  await makeGang(api, "eight", 8, 8, { priority: 100 });
  await until(async () => (await racksOf(api, "eight")).every((rack) => rack === "b"));
  deepEqual([await racksOf(api, "low-a1"), await racksOf(api, "low-b1")], [["a"], []]);
});
