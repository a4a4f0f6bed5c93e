/** Several schedulers at once against one API server over a real PostgreSQL: each decides on what it has seen. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { createLog, silentLog } from "#platform/base/log.ts";
import { type FilterPlugin, type NodeDelta, noPlugins } from "#platform/scheduler/framework.ts";
import { type Scheduler, startScheduler } from "#platform/scheduler/scheduler.ts";
import { filterOf } from "#platform/scheduler/testing.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { PLUGINS } from "#sdk/plugin/manifest.ts";
import { until } from "#sdk/testing/until.ts";
import { paths } from "../config.ts";
import type { RunningRole } from "../role.ts";
import { testConfig } from "../testing/config.ts";
import { start as startApiserver } from "./apiserver.ts";

const core = (resource: string) => ({ group: "", version: "v1", resource });
const SCHEDULERS = 3;
const NODES = 5;
const CPUS = 4;

/** What node-resources does about cpu, without a component: the race is in the API. */
function cpuFilter(): FilterPlugin {
  const free = new Map<number, { allocatable: number; requested: number }>();
  return filterOf({
    name: "cpu",
    scope: "node",
    async sync({ whole, removed, nodes, usage }: NodeDelta) {
      if (whole) free.clear();
      for (const id of removed) free.delete(id);
      for (const { id, allocatable } of nodes) {
        free.set(id, { requested: free.get(id)?.requested ?? 0, allocatable: allocatable.cpuMilli });
      }
      for (const { id, requested } of usage) free.get(id)!.requested = requested.cpuMilli;
    },
    async evaluate(pods, ids) {
      const fits = (id: number, wanted: number) => free.get(id)!.allocatable - free.get(id)!.requested >= wanted;
      return pods.map(({ requests }) => ({
        codes: ids.map((id) => (fits(id, requests.cpuMilli) ? 0 : 1)),
        outcomes: [{ reasons: ["Insufficient cpu"], unresolvable: false }],
      }));
    },
  });
}

describe("several schedulers", () => {
  let db: TestDatabase;
  let dataDir: string;
  let client: Client;
  let server: RunningRole;
  const stop = new AbortController();
  const schedulers: Scheduler[] = [];
  const pods = async () => (await client.list<Pod>(core("pods"), { namespace: "default" })).items;

  before(async () => {
    db = await withTestDatabase();
    const config = await testConfig("schedulers", db.url);
    dataDir = config.dataDir;
    server = await startApiserver({ config, log: createLog("error") });
    await server.ready;
    client = createClient(loadKubeconfig(paths(dataDir).kubeconfig));
    await client.create<KubeObject>(core("serviceaccounts"), {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "default", namespace: "default" },
    });
    // The guard of a node's capacity stands because an enabled plugin names it; it is run by no role here.
    const guard = {
      apiVersion: "capstan.dev/v1",
      kind: "Plugin",
      metadata: { name: "guard" },
      spec: {
        version: "1.0.0",
        witVersion: "v1",
        worlds: ["filter"],
        digest: `sha256:${"0".repeat(64)}`,
        guards: ["node-capacity"],
      },
    };
    await client.create<KubeObject>(PLUGINS, guard);
    const allocatable = { cpu: String(CPUS), memory: "8Gi", pods: "110" };
    for (let i = 0; i < NODES; i++) {
      const node: Node = { apiVersion: "v1", kind: "Node", metadata: { name: `n${i}` }, status: { allocatable } };
      await client.create<Node>(core("nodes"), node);
    }
  });
  after(async () => {
    stop.abort();
    await Promise.all(schedulers.map(({ done }) => done));
    client?.close();
    await server?.stop();
    await db?.remove();
    if (dataDir) rmSync(dataDir, { recursive: true });
  });

  it("fill every node exactly and no node too much, at any moment that a watch shows", async () => {
    const [wanted, room] = [NODES * CPUS + 8, NODES * CPUS];
    const used = new Map<string, Set<string>>();
    const most = new Map<string, number>();
    const seen = (async () => {
      for await (const event of client.watch<Pod>(core("pods"), { namespace: "default", signal: stop.signal })) {
        if (event.type === "BOOKMARK") continue;
        const { metadata, spec } = event.object;
        const node = (spec as Pod["spec"])?.nodeName;
        if (!node) continue;
        const names = used.get(node) ?? new Set();
        used.set(node, names.add(metadata.name ?? ""));
        most.set(node, Math.max(most.get(node) ?? 0, names.size));
      }
    })().catch(() => undefined);
    for (let i = 0; i < wanted; i++) {
      await client.create<Pod>(core("pods"), {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: `p${i}`, namespace: "default" },
        spec: { containers: [{ name: "c", image: "x", resources: { requests: { cpu: "1" } } }] },
      });
    }
    for (let i = 0; i < SCHEDULERS; i++) {
      const plugins = { ...noPlugins, filters: () => [filter] };
      const filter = cpuFilter();
      const queue = { firstBackoffMs: 10, lastBackoffMs: 100 };
      schedulers.push(startScheduler({ client, plugins, log: silentLog, signal: stop.signal, queue }));
    }
    await until(async () => (await pods()).filter(({ spec }) => spec?.nodeName).length === room);
    const left = async () => (await pods()).filter(({ spec }) => !spec?.nodeName);
    await until(async () =>
      (await left()).every(({ status }) => status?.conditions?.some(({ reason }) => reason === "Unschedulable")),
    );
    equal((await left()).length, wanted - room);
    await until(() => [...used.values()].reduce((sum, names) => sum + names.size, 0) === room);
    deepEqual([...most.values()], Array(NODES).fill(CPUS));
    stop.abort();
    await seen;
    ok(stop.signal.aborted);
  });
});
