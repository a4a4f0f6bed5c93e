import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Container, PodSpec } from "#sdk/api/generated/types.ts";
import type { NodePod } from "./context.ts";
import { decide } from "./decide.ts";
import type { Observation, ObservedContainer } from "./observe.ts";
import { nextState } from "./pod-state.ts";

const podOf = (spec: Partial<PodSpec>): NodePod => ({
  metadata: { name: "p", namespace: "default", uid: "u" },
  spec: { containers: [{ name: "main", image: "i" }], ...spec },
});
const made = (name: string, state: "RUNNING" | "EXITED", exitCode = 0): ObservedContainer => ({
  id: name,
  name,
  attempt: 0,
  podSandboxId: "s",
  metadata: { name },
  state: `CONTAINER_${state}`,
  exitCode,
});
const seen = (...containers: ObservedContainer[]): Observation => ({
  sandboxes: [{ id: "s", state: "SANDBOX_READY", metadata: { name: "p", uid: "u", namespace: "default" } }],
  containers,
});
const quiet = { liveness: () => undefined, startup: () => undefined };
const starts = (pod: NodePod, observation: Observation, probes: Parameters<typeof decide>[2] = quiet) =>
  decide(pod, observation, probes, () => true).start.map((one) => one.container.name);
const init: Container[] = [
  { name: "one", image: "i" },
  { name: "two", image: "i" },
];

describe("what a pod needs", () => {
  it("is a sandbox first, and another where the old one has no network", () => {
    assert.equal(decide(podOf({}), { sandboxes: [], containers: [] }, quiet, () => true).createSandbox, true);
    const decision = decide(podOf({}), seen(made("main", "RUNNING")), quiet, () => false);
    assert.equal(decision.createSandbox, true);
    assert.deepEqual(
      decision.kill.map((one) => one.container.name),
      ["main"],
    );
  });

  it("is one init container after the other, then all app containers", () => {
    const pod = podOf({ initContainers: init });
    assert.deepEqual(starts(pod, seen()), ["one"]);
    assert.deepEqual(starts(pod, seen(made("one", "RUNNING"))), []);
    assert.deepEqual(starts(pod, seen(made("one", "EXITED"))), ["two"]);
    assert.deepEqual(starts(pod, seen(made("two", "EXITED", 1), made("one", "EXITED"))), ["two"]);
    assert.deepEqual(starts(pod, seen(made("two", "EXITED"), made("one", "EXITED"))), ["main"]);
    const never = podOf({ initContainers: init, restartPolicy: "Never" });
    assert.equal(decide(never, seen(made("one", "EXITED", 1)), quiet, () => true).finished, true);
  });

  it("is a sidecar that runs before what comes after it, and is kept running", () => {
    const pod = podOf({ initContainers: [{ name: "side", image: "i", restartPolicy: "Always", startupProbe: {} }] });
    assert.deepEqual(starts(pod, seen()), ["side"]);
    assert.deepEqual(starts(pod, seen(made("side", "RUNNING"))), []);
    assert.deepEqual(starts(pod, seen(made("side", "RUNNING")), { ...quiet, startup: () => true }), ["main"]);
    assert.deepEqual(starts(pod, seen(made("side", "EXITED"), made("main", "RUNNING"))), ["side"]);
  });

  it("follows the restart policy", () => {
    const of = (restartPolicy: string, code: number) => {
      const decision = decide(podOf({ restartPolicy }), seen(made("main", "EXITED", code)), quiet, () => true);
      return [decision.start.length, decision.finished];
    };
    assert.deepEqual(of("Always", 0), [1, false]);
    assert.deepEqual(of("OnFailure", 1), [1, false]);
    assert.deepEqual(of("OnFailure", 0), [0, true]);
    assert.deepEqual(of("Never", 1), [0, true]);
  });

  it("is no new sandbox once all has ended for good", () => {
    const over = { sandboxes: [], containers: [made("main", "EXITED", 1)] };
    assert.equal(decide(podOf({ restartPolicy: "Never" }), over, quiet, () => true).finished, true);
    assert.equal(decide(podOf({ restartPolicy: "Always" }), over, quiet, () => true).createSandbox, true);
  });

  it("is the end of a container whose liveness probe fails", () => {
    const pod = podOf({ containers: [{ name: "main", image: "i", livenessProbe: {} }] });
    const decision = decide(pod, seen(made("main", "RUNNING")), { ...quiet, liveness: () => false }, () => true);
    assert.deepEqual(
      decision.kill.map((one) => one.message),
      ["Container main failed liveness probe, will be restarted"],
    );
  });
});

describe("a pod's life on the node", () => {
  it("never goes back to running once it is being stopped", () => {
    for (const state of ["finished", "terminating", "stopped", "gone"] as const)
      for (const event of ["changed", "deleting", "vanished", "ended", "cleared"] as const)
        assert.notEqual(nextState(state, event), "running");
  });

  it("ends by way of terminating and stopped", () => {
    assert.equal(nextState("running", "deleting"), "terminating");
    assert.equal(nextState("terminating", "cleared"), "stopped");
    assert.equal(nextState("stopped", "vanished"), "gone");
  });
});
