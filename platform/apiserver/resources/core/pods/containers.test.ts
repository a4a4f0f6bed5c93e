import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Container, PodSpec } from "#sdk/api/generated/types.ts";
import { defaultPodSpec } from "./defaults.ts";
import { validatePodSpec } from "./validation.ts";

const container: Container = { name: "c", image: "x" };
const told = (more: Partial<PodSpec>): string[] => {
  const spec: PodSpec = structuredClone({ containers: [container], ...more });
  defaultPodSpec(spec);
  return validatePodSpec(spec, "spec").map(
    ({ field, reason }) => `${field?.replace("spec.", "")} ${reason?.replace("FieldValue", "")}`,
  );
};
const own = (more: Partial<Container>): string[] =>
  told({ containers: [{ ...container, ...more }] }).map((text) => text.replace("containers[0].", ""));

test("containers have names of their own, images and policies that are known", () => {
  deepEqual(told({ containers: [] }), ["containers Required"]);
  deepEqual(told({ containers: [container, container] }), ["containers[1].name Duplicate"]);
  deepEqual(own({ name: "A" }), ["name Invalid"]);
  deepEqual(own({ image: "" }), ["image Required"]);
  deepEqual(own({ imagePullPolicy: "Sometimes", terminationMessagePolicy: "Never" }), [
    "terminationMessagePolicy NotSupported",
    "imagePullPolicy NotSupported",
  ]);
});

test("rules of restarting need a policy; an init container's are not looked at without one", () => {
  const rules = { restartPolicyRules: [{ action: "Wait" }] };
  const wrong = ["restartPolicyRules[0].action NotSupported", "restartPolicyRules[0].exitCodes Required"];
  deepEqual(own(rules), ["restartPolicy Required", ...wrong]);
  deepEqual(own({ ...rules, restartPolicy: "Never" }), wrong);
  deepEqual(told({ initContainers: [{ ...container, name: "i", ...rules }] }), [
    "initContainers[0].restartPolicy Required",
  ]);
});

test("what runs beside the pod's life is for containers that last", () => {
  const probe = { httpGet: { port: 80 } };
  const init = (more: Partial<Container>) => told({ initContainers: [{ ...container, name: "i", ...more }] });
  deepEqual(init({ livenessProbe: probe }), ["initContainers[0].livenessProbe Forbidden"]);
  deepEqual(init({ livenessProbe: probe, restartPolicy: "Always" }), []);
  deepEqual(own({ livenessProbe: {} }), ["livenessProbe Required"]);
  deepEqual(own({ livenessProbe: { ...probe, successThreshold: 2 } }), ["livenessProbe.successThreshold Invalid"]);
  deepEqual(own({ readinessProbe: { ...probe, terminationGracePeriodSeconds: 1 } }), [
    "readinessProbe.terminationGracePeriodSeconds Invalid",
  ]);
});

test("mounts name volumes of the pod, each path once", () => {
  const volumes = [{ name: "v", emptyDir: {} }];
  const mounts = (...list: Container["volumeMounts"] & object) =>
    told({ volumes, containers: [{ ...container, volumeMounts: list }] }).map((text) =>
      text.replace("containers[0].volumeMounts", ""),
    );
  deepEqual(mounts({ name: "v", mountPath: "/a" }), []);
  deepEqual(mounts({ name: "w", mountPath: "/a" }), ["[0].name NotFound"]);
  deepEqual(mounts({ name: "v", mountPath: "" }), ["[0].mountPath Required"]);
  deepEqual(mounts({ name: "v", mountPath: "/a" }, { name: "v", mountPath: "/a" }), ["[1].mountPath Invalid"]);
  deepEqual(mounts({ name: "v", mountPath: "/a", subPath: "../b" }), [".subPath Invalid"]);
});

test("resources are amounts of known things, requests within their limits", () => {
  deepEqual(own({ resources: { requests: { cpu: "2" }, limits: { cpu: "1" } } }), ["resources.requests Invalid"]);
  deepEqual(own({ resources: { limits: { storage: "1", cpu: "-1" } } }), [
    "resources.limits[storage] Invalid",
    "resources.limits[cpu] Invalid",
  ]);
  deepEqual(own({ resources: { claims: [{ name: "a" }] } }), ["resources.claims[0] NotFound"]);
});

test("variables have names and one source", () => {
  deepEqual(own({ env: [{ name: "" }, { name: "A=B" }] }), ["env[0].name Required", "env[1].name Invalid"]);
  deepEqual(own({ env: [{ name: "A", value: "x", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }] }), [
    "env[0].valueFrom Invalid",
  ]);
  deepEqual(own({ env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "spec.containers" } } }] }), [
    "env[0].valueFrom.fieldRef.fieldPath Invalid",
  ]);
});

test("a volume has a name and one source", () => {
  const volume = (more: object) =>
    told({ volumes: [{ name: "v", ...more }] }).map((text) => text.replace("volumes[0]", ""));
  deepEqual(volume({}), []); // an empty directory then
  deepEqual(volume({ emptyDir: {}, hostPath: { path: "/a" } }), [".hostPath Forbidden"]);
  deepEqual(volume({ hostPath: { path: "/a/../b" } }), [".hostPath.path Invalid"]);
  deepEqual(volume({ secret: {} }), [".secret.secretName Required"]);
});
