import { deepEqual } from "node:assert/strict";
import test from "node:test";
import type { Pod, PodGroup } from "#sdk/api/generated/types.ts";
import { createGangs, GANG_ANNOTATION, GANG_MIN_ANNOTATION } from "./gangs.ts";

const pod = (name: string, more: Partial<Pod["metadata"]>, spec: object = {}): Pod => ({
  metadata: { name, namespace: "default", ...more },
  spec: { containers: [], ...spec },
});
const annotated = (name: string, least: number) =>
  pod(name, { annotations: { [GANG_ANNOTATION]: "g", [GANG_MIN_ANNOTATION]: String(least) } });
const grouped = (name: string) => pod(name, {}, { schedulingGroup: { podGroupName: "g" } });
const group = (disruptionMode?: string): PodGroup => ({
  metadata: { name: "g", namespace: "default" },
  spec: { schedulingPolicy: { gang: { minCount: 2 } }, ...(disruptionMode ? { disruptionMode } : {}) },
});
const wholes = (pods: readonly Pod[], of?: PodGroup) => {
  const gangs = createGangs(() => of);
  for (const one of pods) gangs.place(one.metadata.name ?? "", one);
  return pods.map(({ metadata: { name = "" } }) => gangs.wholeOf(name).join(" "));
};

test("a gang by annotations goes whole as soon as the others would be too few", () => {
  deepEqual(wholes([annotated("a", 2), annotated("b", 2)]), ["a b", "a b"]);
  deepEqual(wholes([annotated("a", 1), annotated("b", 1)]), ["a", "b"]);
});

test("a PodGroup goes whole where it says so, and only there", () => {
  const three = ["a", "b", "c"].map(grouped);
  deepEqual(wholes(three, group("PodGroup")), ["a b c", "a b c", "a b c"]);
  deepEqual(wholes(three, group("Pod")), ["a", "b", "c"]);
  deepEqual(wholes(three, group()), ["a", "b", "c"]);
});

test("a pod that is in no gang goes alone", () => {
  deepEqual(wholes([pod("a", {})]), ["a"]);
});
