import { deepEqual, equal, rejects } from "node:assert/strict";
import { test } from "node:test";
import type { Key, Store } from "#platform/store/port.ts";
import type { PodSpec } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import { priorities } from "./pods.ts";

const CLASS = { metadata: { name: "high" }, value: 7, preemptionPolicy: "Never" };
const store = {
  async get({ name }: Key) {
    return name === "high" ? { document: JSON.stringify(CLASS) } : undefined;
  },
  async list() {
    return { objects: [] };
  },
} as unknown as Store;

const pod = (spec: Partial<PodSpec>) => ({ metadata: { name: "p" }, spec: { ...spec } }) as unknown as DynamicObject;
async function admitted(operation: string, spec: Partial<PodSpec>, old?: Partial<PodSpec>): Promise<unknown> {
  const object = pod(spec);
  const attributes = {
    operation,
    resource: { group: "", version: "v1", resource: "pods" },
    subresource: "",
    object,
    oldObject: old && pod(old),
  };
  await priorities(store).mutate?.(attributes as unknown as AdmissionAttributes & { object: DynamicObject });
  return object["spec"];
}

test("a pod gets its class's priority, and none that differs from it", async () => {
  deepEqual(await admitted("CREATE", { priorityClassName: "high" }), {
    priorityClassName: "high",
    priority: 7,
    preemptionPolicy: "Never",
  });
  await rejects(admitted("CREATE", { priorityClassName: "none" }), /no PriorityClass with name none/);
  await rejects(admitted("CREATE", { priorityClassName: "high", priority: 8 }), /integer value of priority \(8\)/);
  await rejects(
    admitted("CREATE", { priorityClassName: "high", preemptionPolicy: "PreemptLowerPriority" }),
    /string value of PreemptionPolicy/,
  );
});

test("an update that leaves a pod's priority out keeps it", async () => {
  const got = { priority: 7, preemptionPolicy: "Never" } as const;
  deepEqual(await admitted("UPDATE", {}, got), got);
  equal(((await admitted("UPDATE", { priority: 8 }, got)) as PodSpec).priority, 8); // for validation to refuse
});

test("a PodGroup gets its class's priority where groups have priorities", async () => {
  const group = async (spec: object, groups = true) => {
    const object = { metadata: { name: "g" }, spec: { ...spec } } as unknown as DynamicObject;
    const resource = { group: "scheduling.k8s.io", version: "v1alpha2", resource: "podgroups" };
    const attributes = { operation: "CREATE", resource, subresource: "", object };
    const rule = priorities(store, groups);
    await rule.mutate?.(attributes as unknown as AdmissionAttributes & { object: DynamicObject });
    return object["spec"];
  };
  deepEqual(await group({ priorityClassName: "high" }), { priorityClassName: "high", priority: 7 });
  deepEqual(await group({}), { priority: 0 });
  deepEqual(await group({ priorityClassName: "none" }, false), { priorityClassName: "none" });
  await rejects(group({ priorityClassName: "none" }), /podgroups.*no PriorityClass with name none/);
  await rejects(group({ priorityClassName: "high", priority: 8 }), /priority set in the pod group \(8\) must match/);
});
