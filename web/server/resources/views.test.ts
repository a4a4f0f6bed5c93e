import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DynamicObject } from "#sdk/api/object.ts";
import { batches } from "./batches.ts";
import { podState } from "./pod-state.ts";
import { viewOf } from "./views.ts";

const pod = (status: unknown, more: Partial<DynamicObject["metadata"]> = {}, inits = 0): DynamicObject => ({
  metadata: { name: "p", ...more },
  spec: { containers: [{}], initContainers: new Array(inits).fill({}) },
  status,
});
const states: [string, DynamicObject][] = [
  ["Pending", pod({ phase: "Pending" })],
  [
    "ContainerCreating",
    pod({ phase: "Pending", containerStatuses: [{ state: { waiting: { reason: "ContainerCreating" } } }] }),
  ],
  ["Running", pod({ phase: "Running", containerStatuses: [{ ready: true, state: { running: {} } }] })],
  [
    "CrashLoopBackOff",
    pod({ phase: "Running", containerStatuses: [{ state: { waiting: { reason: "CrashLoopBackOff" } } }] }),
  ],
  [
    "Completed",
    pod({ phase: "Succeeded", containerStatuses: [{ state: { terminated: { exitCode: 0, reason: "Completed" } } }] }),
  ],
  ["ExitCode:3", pod({ phase: "Failed", containerStatuses: [{ state: { terminated: { exitCode: 3 } } }] })],
  ["Init:0/2", pod({ phase: "Pending", initContainerStatuses: [{ state: { running: {} } }] }, {}, 2)],
  [
    "Init:ExitCode:1",
    pod({ phase: "Pending", initContainerStatuses: [{ state: { terminated: { exitCode: 1 } } }] }, {}, 1),
  ],
  ["Terminating", pod({ phase: "Running" }, { deletionTimestamp: "2026-01-01T00:00:00Z" })],
  ["Evicted", pod({ phase: "Failed", reason: "Evicted" })],
];

describe("a pod's state", () => {
  for (const [state, object] of states)
    it(`is ${state} as kubectl says it`, () => assert.equal(podState(object), state));
});

describe("views", () => {
  const resources = ["pods", "services", "nodes", "namespaces", "events", "configmaps", "unheard"];
  for (const resource of resources) {
    it(`of ${resource} has a cell for every column of an object of which nothing is known`, () => {
      const view = viewOf({ group: "", resource });
      const { cells } = view.row({ metadata: {}, spec: null, status: "odd" } as unknown as DynamicObject);
      assert.equal(cells.length, view.columns.length);
    });
  }
});

describe("batches", () => {
  it("gather what is there and lose nothing", async () => {
    async function* source() {
      for (let i = 0; i < 25; i++) yield i;
    }
    const seen: number[][] = [];
    for await (const batch of batches(source(), 10)) seen.push(batch);
    assert.deepEqual(
      seen.flat(),
      Array.from({ length: 25 }, (_, i) => i),
    );
    assert.ok(seen.every((batch) => batch.length <= 10));
  });
  it("tell what came before a failure, then fail", async () => {
    async function* source() {
      yield 1;
      throw new Error("lost");
    }
    const seen: number[] = [];
    await assert.rejects(
      async () => {
        for await (const batch of batches(source(), 10)) seen.push(...batch);
      },
      { message: "lost" },
    );
    assert.deepEqual(seen, [1]);
  });
});
