/**
 * Two API servers over one database, and the loops beside each: what clients, watchers and the loops see when one machine dies, and when
 * the leading loops are stopped in an orderly way. How long it took is printed; what was lost is asserted.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { delay } from "#platform/base/clock.ts";
import { Cluster, RoleProcess, type Server } from "../support/cluster.ts";
import { Random } from "../support/random.ts";
import { Archive } from "./archive.ts";
import { check } from "./check.ts";
import { Traffic } from "./traffic.ts";

const CLIENTS = 24;
const WATCHERS = 6;
const LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/capstan-controllers";

interface Lease {
  spec: { holderIdentity?: string; leaseTransitions?: number };
}

describe("two API servers with their loops", () => {
  let cluster: Cluster;
  let loops: RoleProcess[];
  before(async () => {
    cluster = await Cluster.start({ servers: 2, engine: "jco" });
    loops = cluster.servers.map(({ dataDir }) => new RoleProcess("controllers", dataDir));
  });
  after(async () => {
    for (const process of loops) await process.end("SIGKILL");
    await cluster.remove();
  });

  const holder = async ({ url }: Server): Promise<string> => {
    const { code, body } = await cluster.client.send("GET", `${url}${LEASE}`).catch(() => ({ code: 0, body: {} }));
    return code === 200 ? ((body as Lease).spec.holderIdentity ?? "") : "";
  };
  /** Resolves with who leads, once that is somebody else than `before`. */
  const leader = async (server: Server, before: string): Promise<string> => {
    for (const end = Date.now() + 60_000; ; await delay(20)) {
      const now = await holder(server);
      if (now !== "" && now !== before) return now;
      if (Date.now() > end) throw new Error(`nobody took over:\n${loops.map((l) => l.lastWords).join("\n")}`);
    }
  };

  it("hand the loops over when the leader stops", async (context) => {
    const [first, second] = loops;
    const [, server] = cluster.servers;
    assert.ok(first && second && server);
    first.start();
    const leading = await leader(server, "");
    second.start();
    // The other is a candidate once it watches the Lease.
    while (!second.said("standing by")) await delay(50);
    const stopped = performance.now();
    first.signal("SIGTERM");
    await leader(server, leading);
    context.diagnostic(`the loops were handed over in ${Math.round(performance.now() - stopped)} ms`);
    await first.end("SIGTERM");
    first.start();
  });

  it("lose no acknowledged write and no event when one of them is killed under load, and the loops go on", async (context) => {
    const [dying, living] = [cluster.servers[1], cluster.servers[0]];
    const [deposed, heir] = [loops[1], loops[0]];
    assert.ok(dying && living && deposed && heir);
    while (!heir.said("standing by")) await delay(50);
    const leading = await holder(living);
    const traffic = new Traffic(cluster);
    const random = new Random(5);
    const end = Promise.withResolvers<number>();
    const clients = Array.from({ length: CLIENTS }, () => traffic.client(new Random(random.below(2 ** 31))));
    const watchers = Array.from({ length: WATCHERS }, () =>
      traffic.watcher(new Random(random.below(2 ** 31)), false, end.promise),
    );
    while (traffic.recorded.writes.length < 500) await delay(50);
    const killed = performance.now();
    await Promise.all([dying.end("SIGKILL"), deposed.end("SIGKILL")]);
    const before = traffic.recorded.writes.length;
    await leader(living, leading);
    context.diagnostic(`the loops were taken over in ${Math.round(performance.now() - killed)} ms`);
    while (traffic.recorded.writes.length < before + 500) await delay(50);
    traffic.stopWriting();
    await Promise.all(clients);
    const archive = new Archive(cluster);
    await archive.take();
    end.resolve(archive.facts.at(-1)?.revision ?? 0);
    await Promise.all(watchers);

    const failed = traffic.recorded.writes.filter((write) => write.outcome === "unknown").map(({ started }) => started);
    const last = failed.length > 0 ? Math.max(...failed) - killed : 0;
    context.diagnostic(
      `${failed.length} writes were not answered; the last began ${Math.round(last)} ms after the kill`,
    );
    assert.deepEqual(check({ facts: archive.facts, ...traffic.recorded }).slice(0, 20), []);
    assert.ok(
      traffic.recorded.watches.every((watch) => !watch.expired),
      "no watcher was told 410",
    );
  });
});
