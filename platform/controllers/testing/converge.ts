/**
 * The property that every loop must have: whatever the order of what happens, and whatever fails on the way (a crash of the loops, a server that
 * restarts, a log that was compacted, writes that are lost), the same state comes out in the end.
 */
import { deepEqual } from "node:assert/strict";
import type { TestContext } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import { StatusError } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import type { Controller } from "../context.ts";
import { sameJson } from "../objects.ts";
import { PODS } from "../resources.ts";
import { type RunInput, runControllers } from "../run.ts";
import type { Fate } from "./world.ts";

export interface Convergence {
  loops: readonly Controller[];
  /** Each is done once, in any order; what depends on another belongs in one step with it. */
  steps: readonly ((client: Client) => Promise<unknown>)[];
  /** The state that counts: no uids, versions or times. */
  view(client: Client): Promise<unknown>;
  expected: unknown;
  more?: Partial<RunInput>;
  /** What becomes of pods; they stay as they were made without it. */
  fate?: Fate;
  runs?: number;
}

const RUNS = 4;
const FAILING = 0.3;
const WAIT_MS = 10_000;
const NODE_MS = 5;

/** A failure names its seed. */
export async function converges(t: TestContext, given: Convergence): Promise<void> {
  const { runs = RUNS } = given;
  for (let seed = 1; seed <= runs; seed++) await t.test(`seed ${seed}`, (run) => oneRun(run, given, seed));
}

async function oneRun(t: TestContext, given: Convergence, seed: number): Promise<void> {
  const random = generator(seed);
  const api = createFakeApi();
  let loops = start(api.client, given);
  t.after(() => loops.stop());
  let stepping = false;
  const { fate } = given;
  const node = fate && setInterval(() => void live(fate), NODE_MS);
  t.after(() => clearInterval(node));
  /** A node of the world: its writes are not lost either. */
  async function live(becomes: Fate): Promise<void> {
    for (const pod of (await api.client.list<Pod>(PODS)).items) {
      const status = pod.status?.phase || pod.metadata.deletionTimestamp ? undefined : becomes(pod);
      if (!status) continue;
      const was = stepping;
      stepping = true;
      const written = api.client.update(PODS, { ...pod, status }, { subresource: "status" });
      stepping = was;
      await written.catch(() => undefined);
    }
  }
  api.intercept(() => {
    // Only the loops' writes are lost: the steps are the world's.
    if (!stepping && random() < FAILING) throw new StatusError(503, "ServiceUnavailable", "lost");
  });
  const steps = shuffled(given.steps, random);
  for (const step of steps) {
    stepping = true;
    await step(api.client);
    stepping = false;
    const disturbance = Math.floor(random() * 4);
    if (disturbance === 0) {
      await loops.stop();
      loops = start(api.client, given);
    }
    if (disturbance === 1) api.dropWatches();
    if (disturbance === 2) {
      api.compact();
      api.dropWatches();
    }
    await new Promise((done) => setTimeout(done, random() * 20));
  }
  api.intercept(undefined);
  const settled = async () => sameJson(await given.view(api.client), given.expected);
  await until(settled, WAIT_MS).catch(async () => deepEqual(await given.view(api.client), given.expected));
}

function start(client: Client, { loops, more }: Convergence): { stop(): Promise<void> } {
  const ends = new AbortController();
  const running = runControllers(loops, { client, log: silentLog, signal: ends.signal, rootCA: "", ...more });
  return {
    async stop() {
      ends.abort();
      await running;
    },
  };
}

/** Numbers in [0, 1) that a seed repeats (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const keyed = items.map((item) => ({ item, key: random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}
