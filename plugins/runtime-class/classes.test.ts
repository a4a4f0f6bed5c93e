import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodSpec, RuntimeClass } from "#sdk/api/generated/types.ts";
import { patchFor } from "./classes.ts";

const pod = (spec: Partial<PodSpec>): Pod => ({ metadata: { name: "p" }, spec: { containers: [], ...spec } });
const gvisor: RuntimeClass = {
  metadata: { name: "gvisor" },
  handler: "runsc",
  overhead: { podFixed: { cpu: "250m", memory: "64Mi" } },
  scheduling: { nodeSelector: { sandbox: "yes" }, tolerations: [{ key: "sandbox", operator: "Exists" }] },
};
const plain: RuntimeClass = { metadata: { name: "plain" }, handler: "runc" };

test("a pod gets what its class costs, where it runs and what it tolerates", () => {
  const own = { key: "own", operator: "Exists" };
  deepEqual(patchFor(pod({ runtimeClassName: "gvisor", tolerations: [own], nodeSelector: { a: "b" } }), [gvisor]), [
    { op: "add", path: "/spec/overhead", value: { cpu: "250m", memory: "64Mi" } },
    { op: "add", path: "/spec/nodeSelector", value: { a: "b", sandbox: "yes" } },
    { op: "add", path: "/spec/tolerations", value: [own, { key: "sandbox", operator: "Exists" }] },
  ]);
  deepEqual(patchFor(pod({}), [gvisor]), []);
});

test("what says it already is left as it is", () => {
  const spec = {
    runtimeClassName: "gvisor",
    overhead: { cpu: "0.25", memory: "64Mi" },
    tolerations: gvisor.scheduling?.tolerations ?? [],
  };
  deepEqual(patchFor(pod(spec), [gvisor]), [{ op: "add", path: "/spec/nodeSelector", value: { sandbox: "yes" } }]);
});

test("pods are refused in upstream's words", () => {
  const cases: [Partial<PodSpec>, RegExp][] = [
    [{ runtimeClassName: "gone" }, /^Error: pod rejected: RuntimeClass "gone" not found$/],
    [{ overhead: { cpu: "1" } }, /Pod Overhead set without corresponding RuntimeClass defined Overhead/],
    [{ runtimeClassName: "gvisor", overhead: { cpu: "1" } }, /Pod's Overhead doesn't match RuntimeClass's defined/],
    [{ runtimeClassName: "plain", overhead: { cpu: "1" } }, /Overhead set without corresponding RuntimeClass/],
    [
      { runtimeClassName: "gvisor", nodeSelector: { sandbox: "no" } },
      /conflict: runtimeClass\.scheduling\.nodeSelector\[sandbox\] = yes/,
    ],
  ];
  for (const [spec, message] of cases) throws(() => patchFor(pod(spec), [gvisor, plain]), message);
});
