import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Container } from "#sdk/api/generated/types.ts";
import { tolerationsFor } from "./tolerations.ts";

const asking = (...names: string[]): Container => ({
  name: "c",
  resources: { requests: Object.fromEntries(names.map((name): [string, string] => [name, "1"])) },
});

test("each extended resource is tolerated once, in order; what the pod tolerates stays", () => {
  const own = { key: "own", operator: "Exists" };
  deepEqual(
    tolerationsFor({
      containers: [asking("b.io/x", "cpu")],
      initContainers: [asking("a.io/x", "b.io/x")],
      tolerations: [own],
    }),
    [
      own,
      { key: "a.io/x", operator: "Exists", effect: "NoSchedule" },
      { key: "b.io/x", operator: "Exists", effect: "NoSchedule" },
    ],
  );
});

test("what has it, or asks for none, is left as it is", () => {
  equal(tolerationsFor({ containers: [asking("cpu", "kubernetes.io/x", "hugepages-2Mi")] }), undefined);
  const has = [{ key: "a.io/x", operator: "Exists", effect: "NoSchedule" }];
  equal(tolerationsFor({ containers: [asking("a.io/x")], tolerations: has }), undefined);
});
