/**
 * The same pods on the same nodes through kube-scheduler and through ours, and each scheduler against the other's API server: the same pods
 * find a node, everything they ask for is honoured, and the load is as even. PLACEMENT_PODS and PLACEMENT_NODES make it larger.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { createClient } from "#sdk/client/client.ts";
import type { Client } from "#sdk/client/port.ts";
import { until } from "#sdk/testing/until.ts";
import {
  capstanWithSchedulers,
  ensureServiceAccount,
  type Side,
  startKubeScheduler,
  upstream,
} from "../bench/sides.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { binDir } from "../conformance/suite.ts";
import { startOurs, withoutTenants } from "./ours.ts";
import { faultsOf, nodesOf, podsOf, unevenness } from "./workload.ts";

const NODES = { group: "", version: "v1", resource: "nodes" };
const PODS = { group: "", version: "v1", resource: "pods" };
const counts = {
  nodes: Number(process.env["PLACEMENT_NODES"] ?? 40),
  pods: Number(process.env["PLACEMENT_PODS"] ?? 160),
};
/** Spread and utilisation no worse, but for chance. */
const UNEVENNESS_RATIO_MAX = 1.3;

const buildDir = defaultBuildDir();
const originals = ["kube-scheduler", "kube-apiserver", "etcd"].every((name) =>
  existsSync(join(binDir(buildDir), name)),
);
const skip = originals
  ? false
  : "kube-scheduler, kube-apiserver and etcd are not built (npm run conformance -- --build)";

interface Placement {
  pods: Pod[];
  nodes: Node[];
}

describe("placement", { skip }, () => {
  const dir = mkdtempSync(join(tmpdir(), "capstan-placement-"));
  after(() => rmSync(dir, { recursive: true, force: true }));
  const nodes = nodesOf(counts.nodes);
  const pods = podsOf(counts.pods);

  async function place(
    start: () => Promise<Side>,
    scheduler: (side: Side, client: Client) => Promise<{ stop(): Promise<void> }>,
  ): Promise<Placement> {
    const side = await start();
    const [cert, key] = [readFileSync(side.cert, "utf8"), readFileSync(side.key, "utf8")];
    const client = withoutTenants(createClient({ server: side.servers[0]!, ca: side.ca(), cert, key }));
    try {
      await ensureServiceAccount(side, "default");
      for (const node of nodes) await client.create<Node>(NODES, node);
      // What the original taints because nobody said yet that it is ready.
      for (const { metadata, spec } of nodes) {
        const body = { spec: { taints: spec?.taints ?? null } };
        await client.patch(NODES, { name: metadata.name! }, { type: "merge", body: body as never });
      }
      const [first, ...rest] = pods;
      // Components of a server that has just started may still be compiling.
      await until(
        () =>
          client.create<Pod>(PODS, first!).then(
            () => true,
            () => false,
          ),
        60_000,
      );
      for (const pod of rest) await client.create<Pod>(PODS, pod);
      const running = await scheduler(side, client);
      const list = async () => (await client.list<Pod>(PODS, { namespace: "default" })).items;
      const decided = ({ spec, status }: Pod) =>
        spec?.nodeName || status?.conditions?.some(({ reason }) => reason === "Unschedulable");
      await until(async () => (await list()).every(decided), 120_000);
      const placed = await list();
      await running.stop();
      return { pods: placed, nodes };
    } finally {
      client.close();
      await side.remove();
    }
  }

  const ourApi = () => capstanWithSchedulers(0, dir);
  const theirApi = () => upstream({ buildDir, servers: 1 });
  const kubeScheduler = async (side: Side) => {
    const { end } = await startKubeScheduler(side, buildDir, dir);
    return { stop: end };
  };
  /** By what pods ask for: of those that there is not room for all of, chance decides which find some. */
  const placedByKind = ({ pods: all }: Placement) => {
    const kinds: Record<string, number> = {};
    for (const { metadata, spec } of all) {
      const kind = metadata.labels?.["kind"] ?? "";
      kinds[kind] = (kinds[kind] ?? 0) + (spec?.nodeName ? 1 : 0);
    }
    return kinds;
  };

  test("is the same in what is honoured, who finds a node and how even it is, whichever scheduler meets whichever API", async () => {
    const ours = await place(theirApi, (_, client) => startOurs(client));
    const theirs = await place(ourApi, kubeScheduler);
    const both = await place(ourApi, (_, client) => startOurs(client));
    for (const placement of [ours, theirs, both]) {
      assert.deepEqual(faultsOf(placement.pods, placement.nodes), []);
      assert.deepEqual(placedByKind(placement), placedByKind(theirs));
    }
    const even = unevenness(theirs.pods, theirs.nodes);
    for (const placement of [ours, both]) {
      const own = unevenness(placement.pods, placement.nodes);
      assert.ok(own <= even * UNEVENNESS_RATIO_MAX, `unevenness ${own}, kube-scheduler's ${even}`);
    }
  });
});
