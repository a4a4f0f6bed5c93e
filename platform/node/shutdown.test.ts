import assert from "node:assert/strict";
import { it } from "node:test";
import type { NodePod } from "./context.ts";
import { endPods } from "./shutdown.ts";

const pod = (name: string, more: Partial<NodePod["spec"]> = {}): NodePod => ({
  metadata: { namespace: "default", name, uid: name },
  spec: { containers: [], ...more },
});

it("pods end in order, critical ones last, within their own grace as far as there is time", async () => {
  let running = [
    pod("critical", { priority: 2_000_000_000 }),
    pod("patient", { terminationGracePeriodSeconds: 600 }),
    pod("quick", { terminationGracePeriodSeconds: 1 }),
  ];
  const ended: [string, number | undefined][] = [];
  await endPods({
    pods: () => running,
    evict(one, why) {
      assert.deepEqual([why.reason, why.disrupted], ["Terminated", true]);
      ended.push([one.metadata.name, why.graceSeconds]);
      running = running.filter((other) => other !== one);
      return true;
    },
  });
  assert.deepEqual(ended, [
    ["patient", 20],
    ["quick", 1],
    ["critical", 10],
  ]);
});

it("a pod that does not end holds the machine no longer than there is time", async () => {
  await endPods({ pods: () => [pod("stuck")], evict: () => true }, 0.4, 0.2);
});
