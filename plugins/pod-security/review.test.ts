import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodSpec } from "#sdk/api/generated/types.ts";
import { type Config, judgeNamespace, judgePod, type PodQuestion } from "./review.ts";

const PREFIX = "pod-security.kubernetes.io/";
const labels = (of: Record<string, string>) =>
  Object.fromEntries(Object.entries(of).map(([key, value]): [string, string] => [PREFIX + key, value]));
const privileged: PodSpec = { containers: [{ name: "c", image: "i", securityContext: { privileged: true } }] };
const FOUND = 'privileged (container "c" must not set securityContext.privileged=true)';

const ask = (of: Record<string, string>, more: Partial<PodQuestion> = {}) =>
  judgePod({
    config: {},
    user: "jane",
    namespace: "ns",
    namespaceLabels: labels(of),
    isTemplate: false,
    pod: { spec: privileged },
    before: undefined,
    ...more,
  });

test("enforce refuses, audit notes, warn warns", () => {
  deepEqual(ask({ enforce: "baseline", "enforce-version": "v1.30" }), {
    denied: `violates PodSecurity "baseline:v1.30": ${FOUND}`,
    warnings: [],
    annotations: { [`${PREFIX}enforce-policy`]: "baseline:v1.30" },
  });
  deepEqual(ask({ audit: "baseline", warn: "baseline" }), {
    warnings: [`would violate PodSecurity "baseline:latest": ${FOUND}`],
    annotations: {
      [`${PREFIX}enforce-policy`]: "privileged:latest",
      [`${PREFIX}audit-violations`]: `would violate PodSecurity "baseline:latest": ${FOUND}`,
    },
  });
});

test("what makes pods is never refused, but warned about what is enforced on its pods", () => {
  const { denied, warnings } = ask({ enforce: "baseline" }, { isTemplate: true });
  equal(denied, undefined);
  deepEqual(warnings, [`would violate PodSecurity "baseline:latest": ${FOUND}`]);
  deepEqual(ask({ enforce: "baseline" }, { isTemplate: true, pod: undefined }).warnings, []);
});

test("an update counts when an image changes or a container comes", () => {
  const before = { spec: privileged };
  equal(ask({ enforce: "baseline" }, { before }).denied, undefined);
  const other = { spec: { containers: [{ ...privileged.containers[0], name: "c", image: "other" }] } };
  equal(ask({ enforce: "baseline" }, { before, pod: other }).denied?.startsWith("violates"), true);
});

test("exemptions are by namespace, user and runtime class, and noted; defaults hold without labels", () => {
  const config: Config = {
    defaults: { enforce: "baseline" },
    exemptions: { namespaces: ["kube-system"], usernames: ["root"] },
  };
  equal(ask({}, { config }).denied?.startsWith("violates"), true);
  deepEqual(ask({}, { config, namespace: "kube-system" }).annotations, { [`${PREFIX}exempt`]: "namespace" });
  deepEqual(ask({}, { config, user: "root" }).annotations, { [`${PREFIX}exempt`]: "user" });
});

test("a wrong level of enforcing is strict, and is said in the audit log", () => {
  const { denied, annotations } = ask({ enforce: "bad" });
  equal(denied?.startsWith('violates PodSecurity "restricted:latest"'), true);
  equal(
    annotations[`${PREFIX}error`],
    'Failed to parse policy: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "bad": must be one of privileged, baseline, restricted',
  );
});

const pod = (name: string, controller?: string): Pod => ({
  metadata: {
    name,
    ...(controller
      ? { ownerReferences: [{ apiVersion: "v1", kind: "R", name: "r", uid: controller, controller: true }] }
      : {}),
  },
  spec: privileged,
});
const namespace = (now: Record<string, string>, before?: Record<string, string>, pods: Pod[] = []) =>
  judgeNamespace({ config: {}, name: "ns", labels: labels(now), labelsBefore: before && labels(before), pods });

test("labels of a namespace must say something, unless they said nothing before", () => {
  deepEqual(namespace({ warn: "x", "audit-version": "1.2" }).invalid, [
    {
      reason: "FieldValueInvalid",
      field: `metadata.labels[${PREFIX}audit-version]`,
      message: 'Invalid value: "1.2": must be "latest" or "v1.x"',
    },
    {
      reason: "FieldValueInvalid",
      field: `metadata.labels[${PREFIX}warn]`,
      message: 'Invalid value: "x": must be one of privileged, baseline, restricted',
    },
  ]);
  equal(namespace({ warn: "x" }, { warn: "x" }).invalid, undefined);
});

test("pods that are there already are warned about when a stricter level is enforced, by reason", () => {
  const pods = [pod("b"), pod("a"), pod("c", "u"), pod("d", "u")];
  deepEqual(namespace({ enforce: "baseline" }, {}, pods).warnings, [
    'existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest"',
    "a (and 3 other pods): privileged",
  ]);
  deepEqual(namespace({ enforce: "baseline" }, { enforce: "restricted" }, pods).warnings, []);
});
