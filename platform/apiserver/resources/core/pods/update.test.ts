import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Container, PodSpec } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { defaultPodSpec } from "./defaults.ts";
import { podStrategy } from "./strategy.ts";

const { validateUpdate } = podStrategy({
  group: "",
  version: "v1",
  resource: "pods",
  kind: "Pod",
  verbs: [],
  subresources: [],
} as unknown as ResourceFacts);
const container: Container = { name: "c", image: "x" };
const base: PodSpec = { containers: [container], tolerations: [{ key: "a", operator: "Exists" }] };
defaultPodSpec(base);
const pod = (spec: object) => ({ metadata: { name: "p" }, spec }) as DynamicObject;

test("of a running pod little may change, and each is told of where it stands", () => {
  const cases: [Partial<PodSpec> | { containers?: null }, PodSpec, string[]][] = [
    [{ containers: [{ ...container, image: "y" }] }, base, []],
    [{ containers: null }, base, ["spec.containers Required", "spec.containers Forbidden"]],
    [{ tolerations: [] }, base, ["spec.tolerations Forbidden"]],
    [{ tolerations: [...(base.tolerations ?? []), { operator: "Exists" }] }, base, []],
    [{ activeDeadlineSeconds: 5 }, { ...base, activeDeadlineSeconds: 9 }, []],
    [{ activeDeadlineSeconds: 9 }, { ...base, activeDeadlineSeconds: 5 }, ["spec.activeDeadlineSeconds Invalid"]],
    [
      { activeDeadlineSeconds: undefined },
      { ...base, activeDeadlineSeconds: 5 },
      ["spec.activeDeadlineSeconds Invalid"],
    ],
    [{ schedulingGates: [{ name: "g" }] }, base, ["spec.schedulingGates[0].name Forbidden"]],
    [{ schedulingGates: [] }, { ...base, schedulingGates: [{ name: "g" }] }, []],
    [{ nodeSelector: { a: "b" } }, base, ["spec Forbidden"]],
  ];
  for (const [change, old, expected] of cases) {
    const causes = validateUpdate?.(pod({ ...old, ...change }), pod(old), {} as never) ?? [];
    deepEqual(
      causes.map(({ field, reason }) => `${field} ${reason?.replace("FieldValue", "")}`),
      expected,
      JSON.stringify(change),
    );
  }
});
