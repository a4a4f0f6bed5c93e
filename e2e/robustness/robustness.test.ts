/**
 * Random traffic on two API servers over one database while both are hurt, then checked against the log: no acknowledged write is
 * lost, none is applied twice, compare-and-swap is linearizable, reads are fresh, and each watcher is told each change once, in
 * order, or 410. ROBUSTNESS_SECONDS (60) says how long, ROBUSTNESS_SEED repeats a plan.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { delay } from "#platform/base/clock.ts";
import { verify } from "#platform/store/postgres/verify.ts";
import { Cluster } from "../support/cluster.ts";
import { Random } from "../support/random.ts";
import { Archive } from "./archive.ts";
import { check } from "./check.ts";
import { FAILURES } from "./failures.ts";
import { Traffic } from "./traffic.ts";

const seconds = Number(process.env["ROBUSTNESS_SECONDS"] ?? 60);
const seed = Number(process.env["ROBUSTNESS_SEED"] ?? Date.now() % 1_000_000);
const CLIENTS = 120;
const WATCHERS = 6;

/** One failure after the other, each with a moment of rest before it; returns how often each was. */
async function hurt(cluster: Cluster, archive: Archive, random: Random, until: number): Promise<Map<string, number>> {
  const done = new Map<string, number>();
  while (Date.now() < until) {
    await delay(500 + random.below(2_500));
    const name = random.pick(Object.keys(FAILURES));
    await FAILURES[name]?.(cluster, random, () => archive.take());
    done.set(name, (done.get(name) ?? 0) + 1);
  }
  return done;
}

test(`nothing acknowledged is lost and no watcher misses a change (seed ${seed}, ${seconds} s)`, async () => {
  const random = new Random(seed);
  const cluster = await Cluster.start({ servers: 2, engine: "jco" });
  try {
    const traffic = new Traffic(cluster);
    const archive = new Archive(cluster);
    const end = Promise.withResolvers<number>();
    const clients = Array.from({ length: CLIENTS }, () => traffic.client(new Random(random.below(2 ** 31))));
    const watchers = Array.from({ length: WATCHERS }, (_, i) =>
      traffic.watcher(new Random(random.below(2 ** 31)), i === 0, end.promise),
    );
    const failures = await hurt(cluster, archive, random, Date.now() + seconds * 1_000);
    traffic.stopWriting();
    await Promise.all(clients);
    for (const server of cluster.servers) await cluster.served(server);
    await archive.take();
    end.resolve(archive.facts.at(-1)?.revision ?? 0);
    await Promise.all(watchers);
    await archive.take();

    const { writes, reads, watches } = traffic.recorded;
    const count = (outcome: string) => writes.filter((write) => write.outcome === outcome).length;
    console.log(
      `seed ${seed}: ${writes.length} writes, ${Math.round(writes.length / seconds)}/s (${count("done")} done, ${count("refused")} refused, ${count("unknown")} unanswered), ` +
        `${archive.facts.length} changes, ${reads.length} reads, ${watches.length} watches ` +
        `(${watches.filter((w) => w.expired).length} told 410); ${[...failures].map(([name, n]) => `${name} ×${n}`).join(", ")}`,
    );
    const violations = check({ facts: archive.facts, ...traffic.recorded });
    assert.deepEqual(
      violations.slice(0, 20),
      [],
      `${violations.length} violations; repeat with ROBUSTNESS_SEED=${seed}`,
    );
    assert.deepEqual(
      (await verify(cluster.db.url)).filter((result) => result.violations > 0),
      [],
    );
    assert.ok(
      count("done") > 0 &&
        watches.every((watch) => watch.expired || watch.reached >= (archive.facts.at(-1)?.revision ?? 0)),
    );
  } finally {
    await cluster.remove();
  }
});
