import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { NodeContext } from "./context.ts";
import type { PodSandbox } from "./cri.ts";
import type { Observation, Observer } from "./observe.ts";
import { createLitterSweep } from "./runtime-litter.ts";

/** No process has it: Linux' numbers end below. */
const NOBODYS_PID = 2 ** 22 + 1;

function node(context: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "capstan-litter-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const state = join(directory, "containerd/state");
  const bundles = join(state, "io.containerd.runtime.v2.task/k8s.io");
  const namespaces = join(state, "io.containerd.grpc.v1.cri/netns");
  for (const one of [bundles, namespaces]) mkdirSync(one, { recursive: true });
  const time = { now: 0 };
  const sandboxes = new Map<string, string>();
  const observation = (): Observation => ({
    sandboxes: [...sandboxes.keys()].map((id) => ({ id }) as PodSandbox),
    containers: [],
  });
  const sweep = createLitterSweep(
    {
      settings: { directory },
      clock: { now: () => time.now },
      log: silentLog,
      runtime: { podSandboxStatus: async (id: string) => ({ netns: join(namespaces, sandboxes.get(id) ?? "") }) },
    } as unknown as NodeContext,
    { uids: () => ["pod"], get: observation } as unknown as Observer,
  );
  return {
    sandboxes,
    bundle(id: string, pid: number) {
      mkdirSync(join(bundles, id));
      writeFileSync(join(bundles, id, "init.pid"), String(pid));
    },
    namespace: (name: string) => writeFileSync(join(namespaces, name), ""),
    has: (name: string) => existsSync(join(bundles, name)) || existsSync(join(namespaces, name)),
    async after(seconds: number) {
      time.now += seconds * 1_000;
      await sweep();
    },
  };
}

test("the bundle of a container that the runtime has forgotten goes after a minute, unless something runs in it", async (context) => {
  const { bundle, sandboxes, has, after } = node(context);
  sandboxes.set("known", "");
  bundle("known", NOBODYS_PID);
  bundle("forgotten", NOBODYS_PID);
  bundle("running", process.pid);
  await after(0);
  await after(59);
  assert.ok(has("forgotten"));
  await after(1);
  assert.deepEqual(["known", "forgotten", "running"].map(has), [true, false, true]);
});

test("a network namespace goes when no sandbox had it for a minute", async (context) => {
  const { namespace, sandboxes, has, after } = node(context);
  sandboxes.set("a", "cni-a");
  namespace("cni-a");
  namespace("cni-lost");
  namespace("cni-late");
  await after(0);
  await after(30);
  sandboxes.set("late", "cni-late");
  await after(30);
  assert.deepEqual(["cni-a", "cni-lost", "cni-late"].map(has), [true, false, true]);
});
