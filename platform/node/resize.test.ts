import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Container } from "#sdk/api/generated/types.ts";
import type { NodePod } from "./context.ts";
import type { LinuxContainerResources } from "./cri.ts";
import type { Observation } from "./observe.ts";
import type { Runtime } from "./ports.ts";
import { createResizer, type Refusal } from "./resize.ts";

const podWith = (cpu: string, more: Partial<Container> = {}, generation = 1): NodePod => ({
  metadata: { name: "p", namespace: "default", uid: "u", generation },
  spec: { containers: [{ name: "main", image: "i", resources: { limits: { cpu }, requests: { cpu } }, ...more }] },
});

const seen: Observation = {
  sandboxes: [],
  containers: [
    { id: "c1", name: "main", attempt: 0, podSandboxId: "s", metadata: { name: "main" }, state: "CONTAINER_RUNNING" },
  ],
};

/** A resizer whose runtime and cgroups write down what they are told. */
function bench(refusal?: Refusal) {
  const told: [string, unknown][] = [];
  const runtime = {
    updateContainerResources: async (id: string, resources: LinuxContainerResources) =>
      void told.push([id, resources.cpuQuota]),
  } as Partial<Runtime> as Runtime;
  const cpuOf = (pod: { spec?: NodePod["spec"] } | undefined) => pod?.spec?.containers[0]?.resources?.limits?.["cpu"];
  const cgroups = {
    path: () => "",
    ensure: () => "",
    remove: () => true,
    resize: (pod: NodePod, before?: NodePod) => void told.push(["pod", [cpuOf(pod), cpuOf(before)]]),
  };
  const machine = { cpuMilli: 2000, memoryBytes: 2 ** 30 };
  return { told, resizer: createResizer({ runtime, cgroups, machine }, () => refusal) };
}

describe("a pod that asks for other resources while it runs", () => {
  it("has its cgroup raised first, its container changed, and its cgroup lowered last", async () => {
    const { told, resizer } = bench();
    const pod = resizer.allocate(resizer.allocated(podWith("500m")), seen);
    assert.deepEqual(await resizer.actuate(pod, seen), []);
    assert.deepEqual(told, []);
    const next = resizer.allocate(resizer.allocated(podWith("250m", {}, 2)), seen);
    assert.deepEqual(resizer.resources("main", "c1").actual.limits, { cpu: "500m" });
    await resizer.actuate(next, seen);
    assert.deepEqual(told, [
      ["pod", ["250m", "500m"]],
      ["c1", 25_000],
      ["pod", ["250m", undefined]],
    ]);
    assert.deepEqual(resizer.resources("main", "c1").actual.limits, { cpu: "250m" });
    assert.deepEqual(resizer.conditions(), []);
  });

  it("keeps what it has while the node has no room, and says so", () => {
    const { resizer } = bench({ forEver: false, message: "no room" });
    resizer.allocate(resizer.allocated(podWith("500m")), seen);
    const kept = resizer.allocate(resizer.allocated(podWith("2", {}, 2)), seen);
    assert.equal(kept.spec.containers[0]?.resources?.limits?.["cpu"], "500m");
    assert.deepEqual(resizer.conditions(), [
      { type: "PodResizePending", status: "True", reason: "Deferred", message: "no room" },
    ]);
  });

  it("has a container started anew whose policy wants that", async () => {
    const { told, resizer } = bench();
    const policy = { resizePolicy: [{ resourceName: "cpu", restartPolicy: "RestartContainer" }] };
    resizer.allocate(resizer.allocated(podWith("500m", policy)), seen);
    const next = resizer.allocate(resizer.allocated(podWith("1", policy, 2)), seen);
    assert.deepEqual(
      (await resizer.actuate(next, seen)).map((one) => one.id),
      ["c1"],
    );
    assert.deepEqual(told, [["pod", ["1", "500m"]]]);
  });

  it("does nothing for the same amount in other words", async () => {
    const { told, resizer } = bench();
    resizer.allocate(resizer.allocated(podWith("500m")), seen);
    await resizer.actuate(resizer.allocate(resizer.allocated(podWith("0.5", {}, 2)), seen), seen);
    assert.deepEqual(told, []);
  });

  it("goes on with what its status says after the agent's restart", () => {
    const { resizer } = bench({ forEver: true, message: "never" });
    const pod = podWith("8", {}, 2);
    const resources = { limits: { cpu: "500m" }, requests: { cpu: "500m" } };
    const main = { name: "main", image: "i", imageID: "", ready: true, restartCount: 0, resources };
    const again = resizer.allocated({ ...pod, status: { containerStatuses: [main] } });
    assert.deepEqual(again.spec.containers[0]?.resources, resources);
  });
});
