import assert from "node:assert/strict";
import { test } from "node:test";
import type { LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod } from "#sdk/api/generated/types.ts";
import { defaultsPatch } from "./defaults.ts";
import { aggregate, claimViolations, podViolations } from "./limits.ts";

const range = (...limits: LimitRangeItem[]): LimitRange => ({ metadata: { name: "r" }, spec: { limits } });
const container = (requests: Record<string, string> | undefined, limits: Record<string, string> | undefined) => ({
  name: "c",
  image: "i",
  resources: { ...(requests ? { requests } : {}), ...(limits ? { limits } : {}) },
});
const podOf = (...containers: ReturnType<typeof container>[]): Pod => ({
  metadata: { name: "p" },
  spec: { containers },
});

test("the messages are upstream's", () => {
  const cases: [LimitRangeItem, ReturnType<typeof container>, string][] = [
    [
      { type: "Container", min: { cpu: "100m" } },
      container({}, {}),
      "minimum cpu usage per Container is 100m.  No request is specified",
    ],
    [
      { type: "Container", min: { memory: "1Gi" } },
      container({ memory: "512Mi" }, {}),
      "minimum memory usage per Container is 1Gi, but request is 512Mi",
    ],
    [
      { type: "Container", max: { cpu: "1" } },
      container({ cpu: "500m" }, {}),
      "maximum cpu usage per Container is 1.  No limit is specified",
    ],
    [
      { type: "Container", max: { cpu: "1" } },
      container({ cpu: "500m" }, { cpu: "1500m" }),
      "maximum cpu usage per Container is 1, but limit is 1500m",
    ],
    [
      { type: "Container", maxLimitRequestRatio: { cpu: "2" } },
      container({ cpu: "100m" }, { cpu: "300m" }),
      "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
    ],
    [
      { type: "Container", maxLimitRequestRatio: { cpu: "2" } },
      container({}, { cpu: "300m" }),
      "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
    ],
    [
      { type: "Pod", max: { memory: "1Gi" } },
      container({ memory: "2Gi" }, { memory: "2Gi" }),
      "maximum memory usage per Pod is 1Gi, but limit is 2Gi",
    ],
  ];
  for (const [item, c, message] of cases) assert.deepEqual(podViolations(podOf(c), range(item)), [message]);
});

test("a pod is its containers' sum, or an init container's moment with the sidecars before it", () => {
  const pod = podOf(container({ cpu: "1" }, { cpu: "1" }), container({ cpu: "1" }, { cpu: "1" }));
  const most = (cpu: string) => podViolations(pod, range({ type: "Pod", max: { cpu } }));
  assert.deepEqual([most("2"), most("1500m").length], [[], 1]);
  const sidecar = { ...container({ cpu: "1" }, { cpu: "1" }), restartPolicy: "Always" };
  pod.spec = { ...pod.spec!, initContainers: [sidecar, container({ cpu: "2500m" }, { cpu: "2500m" })] };
  assert.deepEqual([most("3500m"), most("3")], [[], ["maximum cpu usage per Pod is 3, but limit is 3500m"]]);
});

test("a claim's storage has a minimum and a maximum", () => {
  const claim = (storage: string) =>
    ({ metadata: { name: "c" }, spec: { resources: { requests: { storage } } } }) as PersistentVolumeClaim;
  const limits = range({ type: "PersistentVolumeClaim", min: { storage: "1Gi" }, max: { storage: "2Gi" } });
  assert.deepEqual(claimViolations(claim("1500Mi"), limits), []);
  assert.deepEqual(claimViolations(claim("3Gi"), limits), [
    "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi",
  ]);
});

test("one error is itself, several are a list", () => {
  assert.deepEqual([aggregate(["a"]), aggregate(["a", "b"])], ["a", "[a, b]"]);
});

test("defaults fill what is missing, and the annotation says what", () => {
  const pod = podOf(container({ cpu: "1" }, undefined));
  const patch = defaultsPatch(pod, [
    range({ type: "Container", default: { memory: "1Gi" }, defaultRequest: { cpu: "2" } }),
  ]);
  assert.deepEqual(patch, [
    { op: "add", path: "/spec/containers/0/resources", value: { limits: { memory: "1Gi" }, requests: { cpu: "1" } } },
    {
      op: "add",
      path: "/metadata/annotations",
      value: { "kubernetes.io/limit-ranger": "LimitRanger plugin set: memory limit for container c" },
    },
  ]);
});

test("of two ranges the first one's value stays, and nothing to set is no patch", () => {
  const [a, b] = ["1", "2"].map((cpu) => range({ type: "Container", default: { cpu } })) as [LimitRange, LimitRange];
  const [resources] = defaultsPatch(podOf(container(undefined, undefined)), [a, b]);
  assert.deepEqual(resources?.value, { limits: { cpu: "1" } });
  assert.deepEqual(defaultsPatch(podOf(container(undefined, { cpu: "3" })), [a, b]), []);
});
