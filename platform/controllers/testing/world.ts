/** For tests of workloads: the loops over an API in memory, and a node that makes pods run. */
import type { TestContext } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import { createFakeApi, type FakeApi } from "#sdk/testing/fake-api.ts";
import type { Controller } from "../context.ts";
import { PODS } from "../resources.ts";
import { type RunInput, runControllers } from "../run.ts";

/** The loops run until the test is over. */
export function world(t: TestContext, loops: readonly Controller[], more: Partial<RunInput> = {}): FakeApi {
  const api = createFakeApi();
  const stop = new AbortController();
  const running = runControllers(loops, {
    client: api.client,
    log: silentLog,
    signal: stop.signal,
    rootCA: "",
    ...more,
  });
  t.after(async () => {
    stop.abort();
    await running;
  });
  return api;
}

/** What becomes of a new pod: nothing where undefined. */
export type Fate = (pod: Pod) => Pod["status"] | undefined;
export const ready: Fate = () => ({
  phase: "Running",
  conditions: [{ type: "Ready", status: "True", lastTransitionTime: "2020-01-01T00:00:00Z" }],
});

/** Gives each new pod its status; `seen` is told the pods at every change. */
export function runPods(
  t: TestContext,
  api: FakeApi,
  fate: Fate = ready,
  seen: (pods: Pod[]) => void = () => undefined,
) {
  const stop = new AbortController();
  t.after(() => stop.abort());
  void (async () => {
    for await (const event of api.client.watch<Pod>(PODS, { sendInitialEvents: true, signal: stop.signal })) {
      seen(await podsIn(api));
      if (event.type !== "ADDED") continue;
      const status = fate(event.object);
      if (status)
        await api.client.update(PODS, { ...event.object, status }, { subresource: "status" }).catch(() => undefined);
    }
  })();
}

export const podsIn = async (api: FakeApi): Promise<Pod[]> => (await api.client.list<Pod>(PODS)).items;
