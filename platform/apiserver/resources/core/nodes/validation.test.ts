import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Node } from "#sdk/api/generated/types.ts";
import { validateNode, validateNodeUpdate } from "./validation.ts";

const node = (spec: Node["spec"], status: Node["status"] = {}): Node => ({ metadata: { name: "n" }, spec, status });
const told = (causes: readonly { field?: string; reason?: string }[]) =>
  causes.map(({ field, reason }) => `${field} ${reason?.replace("FieldValue", "")}`);

test("a node's taints, amounts and ranges are refused where they are none", () => {
  const cases: [Node, string[]][] = [
    [node({ taints: [{ key: "a", effect: "NoSchedule" }], podCIDRs: ["10.0.0.0/24", "fd00::/64"] }), []],
    [
      node({ taints: [{ key: "-a", value: "y z", effect: "Never" }] }),
      ["metadata.taints[0].key Invalid", "metadata.taints[0].value Invalid", "metadata.taints[0].effect NotSupported"],
    ],
    [
      node({
        taints: [
          { key: "a", effect: "NoExecute" },
          { key: "a", effect: "NoExecute", value: "x" },
        ],
      }),
      ["metadata.taints[1] Duplicate"],
    ],
    [node({ podCIDRs: ["here"] }), ["spec.podCIDRs[0] Invalid"]],
    [node({ podCIDRs: ["10.0.0.0/24", "10.1.0.0/24"] }), ["spec.podCIDRs Invalid"]],
    [
      node({}, { capacity: { cpu: "-1", pods: "1.5", "example.com/gpu": "500m", memory: "1.5Gi" } }),
      ["status.capacity.cpu Invalid", "status.capacity.pods Invalid", "status.capacity.example.com/gpu Invalid"],
    ],
  ];
  for (const [of, expected] of cases) deepEqual(told(validateNode(of)), expected);
});

test("what a node once got stays: its ranges and its provider's name", () => {
  const old = node({ podCIDRs: ["10.0.0.0/24"], providerID: "a" });
  deepEqual(told(validateNodeUpdate(node({ podCIDRs: ["10.0.1.0/24"], providerID: "b" }), old)), [
    "spec.podCIDRs Forbidden",
    "spec.providerID Forbidden",
  ]);
  deepEqual(told(validateNodeUpdate(old, node({}))), []);
});
