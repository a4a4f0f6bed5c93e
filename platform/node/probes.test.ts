import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Container, Probe } from "#sdk/api/generated/types.ts";
import type { NodeContext, NodePod } from "./context.ts";
import { createProber } from "./probes.ts";

/** One container whose probes are commands; `answers` says which of them succeed, in order, the last one from then on. */
function probed(t: TestContext, probes: Partial<Container>, answers: readonly boolean[]) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 0 });
  const asked: number[] = [];
  const events: string[] = [];
  const context = {
    clock: { now: () => Date.now() },
    reach: (ip: string) => ip,
    recorder: { event: (_pod: unknown, _type: string, _reason: string, message: string) => void events.push(message) },
    runtime: {
      execSync: async () => {
        asked.push(Date.now());
        const ok = answers[Math.min(asked.length, answers.length) - 1];
        return { exitCode: ok ? 0 : 1, stdout: Buffer.alloc(0), stderr: Buffer.from(ok ? "" : "not yet") };
      },
    },
  } as unknown as NodeContext;
  const pod = { metadata: { uid: "u" } } as NodePod;
  const prober = createProber(context);
  prober.watch(pod, { name: "main", ...probes }, "c1", 0, "10.0.0.1", () => undefined);
  t.after(() => prober.keep("u", new Set()));
  return { prober, asked, events };
}

const command = (more: Partial<Probe> = {}): Probe => ({ exec: { command: ["true"] }, periodSeconds: 10, ...more });

/** In small steps, so that what a probe's answer starts comes in its turn. */
async function pass(t: TestContext, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 50) {
    t.mock.timers.tick(50);
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }
}

test("a program that is up a moment after its container is ready a moment later, not a period later", async (t) => {
  const { prober, asked, events } = probed(t, { readinessProbe: command() }, [false, false, true]);
  await pass(t, 1_000);
  assert.equal(prober.readiness("c1"), true);
  assert.deepEqual(asked, [50, 300, 800]);
  assert.equal(events.length, 1, "what is asked early and fails is no news");
  await pass(t, 20_000);
  assert.deepEqual(asked.slice(3), [10_050, 20_050]);
});

test("a program that never is ready is asked once a period in the end, and told of as often", async (t) => {
  const { prober, asked, events } = probed(t, { readinessProbe: command() }, [false]);
  await pass(t, 60_000);
  assert.equal(prober.readiness("c1"), false);
  const late = asked.filter((at) => at > 20_100);
  assert.ok(late.length <= 4, `${late}`);
  assert.equal(events.length, 6);
});

test("what was ready and is not any more is asked once a period", async (t) => {
  const { asked } = probed(t, { readinessProbe: command() }, [true, false]);
  await pass(t, 31_000);
  assert.deepEqual(asked, [50, 10_050, 20_050, 30_050]);
});

test("nothing is asked before its initial delay, and a liveness probe never early", async (t) => {
  const probes = {
    readinessProbe: command({ initialDelaySeconds: 5 }),
    livenessProbe: command({ failureThreshold: 9 }),
  };
  const { asked } = probed(t, probes, [false]);
  await pass(t, 4_900);
  assert.deepEqual(asked, [50]);
});
