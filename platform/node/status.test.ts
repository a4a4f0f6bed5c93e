import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PodSpec } from "#sdk/api/generated/types.ts";
import type { NodePod } from "./context.ts";
import type { ObservedContainer } from "./observe.ts";
import { podStatus, type StatusInput } from "./status.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const made = (name: string, state: "RUNNING" | "EXITED", exitCode = 0, attempt = 0): ObservedContainer => ({
  id: `${name}${attempt}`,
  name,
  attempt,
  podSandboxId: "s",
  metadata: { name },
  state: `CONTAINER_${state}`,
  exitCode,
  startedAt: "1767225600000000000",
  finishedAt: "1767225601000000000",
});

function statusOf(spec: Partial<PodSpec>, containers: ObservedContainer[], more: Partial<StatusInput> = {}) {
  const pod: NodePod = {
    metadata: { name: "p", namespace: "default", uid: "u", generation: 2 },
    spec: { containers: [{ name: "main", image: "i" }], ...spec },
  };
  return podStatus({
    pod,
    generation: pod.metadata.generation,
    resources: () => ({ allocated: {}, actual: {} }),
    resizing: [],
    devices: () => [],
    seen: { sandboxes: [], containers },
    nodeAddresses: ["192.0.2.1"],
    podIPs: ["10.0.0.2"],
    sandboxReady: true,
    waiting: new Map(),
    ready: () => true,
    started: () => true,
    terminationMessage: () => undefined,
    now: NOW,
    startTime: "2026-01-01T00:00:00Z",
    terminal: false,
    ...more,
  });
}
const condition = (status: ReturnType<typeof statusOf>, type: string) =>
  status.conditions?.find((one) => one.type === type);

describe("a pod's status", () => {
  it("is Pending and ContainerCreating before anything runs", () => {
    const status = statusOf({}, []);
    assert.equal(status.phase, "Pending");
    assert.deepEqual(status.containerStatuses?.[0]?.state, { waiting: { reason: "ContainerCreating" } });
    assert.equal(condition(status, "Ready")?.message, "containers with unready status: [main]");
  });

  it("is Running and Ready with its addresses", () => {
    const status = statusOf({}, [made("main", "RUNNING")]);
    assert.equal(status.phase, "Running");
    assert.equal(condition(status, "Ready")?.status, "True");
    assert.deepEqual(status.podIPs, [{ ip: "10.0.0.2" }]);
    assert.deepEqual(status.containerStatuses?.[0]?.state, { running: { startedAt: "2026-01-01T00:00:00Z" } });
  });

  it("shows a container in back-off with how it ended", () => {
    const waiting = new Map([["main", { reason: "CrashLoopBackOff", message: "back-off" }]]);
    const status = statusOf({}, [made("main", "EXITED", 3, 4)], { waiting });
    assert.equal(status.phase, "Running");
    const one = status.containerStatuses?.[0];
    assert.equal(one?.state?.waiting?.reason, "CrashLoopBackOff");
    assert.equal(one?.lastState?.terminated?.exitCode, 3);
    assert.equal(one?.restartCount, 4);
  });

  it("adds the containers' ends up under the restart policy", () => {
    const phase = (restartPolicy: string, code: number) =>
      statusOf({ restartPolicy }, [made("main", "EXITED", code)]).phase;
    assert.equal(phase("Never", 0), "Succeeded");
    assert.equal(phase("Never", 1), "Failed");
    assert.equal(phase("OnFailure", 0), "Succeeded");
    assert.equal(phase("OnFailure", 1), "Running");
    assert.equal(phase("Always", 0), "Running");
    assert.equal(
      condition(statusOf({ restartPolicy: "Never" }, [made("main", "EXITED")]), "Ready")?.reason,
      "PodCompleted",
    );
  });

  it("tells what an unfinished init container holds up", () => {
    const status = statusOf({ initContainers: [{ name: "first", image: "i" }] }, [made("first", "RUNNING")]);
    assert.equal(status.phase, "Pending");
    assert.equal(condition(status, "Initialized")?.message, "containers with incomplete status: [first]");
    assert.deepEqual(status.containerStatuses?.[0]?.state, { waiting: { reason: "PodInitializing" } });
  });

  it("says what is mounted where, and that no mount is read-only all the way down", () => {
    const volumeMounts = [
      { name: "a", mountPath: "/a" },
      { name: "b", mountPath: "/b", readOnly: true },
    ];
    const status = statusOf({ containers: [{ name: "main", image: "i", volumeMounts }] }, [made("main", "RUNNING")]);
    assert.deepEqual(status.containerStatuses?.[0]?.volumeMounts, [
      { name: "a", mountPath: "/a" },
      { name: "b", mountPath: "/b", readOnly: true, recursiveReadOnly: "Disabled" },
    ]);
  });

  it("says why the node refused a pod", () => {
    const verdict = { reason: "OutOfcpu", message: "Pod was rejected: Node didn't have enough resource: cpu" };
    const status = statusOf({}, [], { verdict });
    assert.deepEqual([status.phase, status.reason, status.containerStatuses], ["Failed", "OutOfcpu", undefined]);
  });
});
