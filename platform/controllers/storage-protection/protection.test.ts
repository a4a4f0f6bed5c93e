import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import type { PersistentVolumeClaim, Pod } from "#sdk/api/generated/types.ts";
import { until } from "#sdk/testing/until.ts";
import { PERSISTENT_VOLUME_CLAIMS, PODS } from "../resources.ts";
import { world } from "../testing/world.ts";
import { claimProtection } from "./controller.ts";
import { CLAIM_FINALIZER, finalizersFor, usesClaim } from "./protection.ts";

const claim = (owner?: string): PersistentVolumeClaim => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: {
    name: "web-data",
    namespace: "default",
    finalizers: [CLAIM_FINALIZER],
    ...(owner
      ? { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "web", uid: owner, controller: true }] }
      : {}),
  },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
});
const pod = (volume: object, nodeName: string | undefined, more: object = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "default", uid: "u1", ...more },
  spec: { containers: [], volumes: [{ name: "data", ...volume }], ...(nodeName ? { nodeName } : {}) },
});
const byName = { persistentVolumeClaim: { claimName: "web-data" } };
const generated = { ephemeral: { volumeClaimTemplate: { spec: {} } } };

test("a claim is used by pods that have a node, finished or not", () => {
  const cases: [string, Pod, PersistentVolumeClaim, boolean][] = [
    ["on a node", pod(byName, "n"), claim(), true],
    ["waiting for a node", pod(byName, undefined), claim(), false],
    ["of another name", pod({ persistentVolumeClaim: { claimName: "other" } }, "n"), claim(), false],
    ["as its own generated one", pod(generated, "n"), claim("u1"), true],
    ["generated for another pod of that name", pod(generated, "n"), claim("u2"), false],
    [
      "generated, of a pod that is shut down",
      pod(generated, "n", { deletionTimestamp: "2026-01-01T00:00:00Z", deletionGracePeriodSeconds: 0 }),
      claim("u1"),
      false,
    ],
  ];
  for (const [what, of, on, used] of cases) equal(usesClaim(of, on), used, what);
});

test("the finalizer comes where it is missing and goes when what is deleted is unused", () => {
  const ending = { deletionTimestamp: "2026-01-01T00:00:00Z" };
  const object = (finalizers: string[], more = {}) => ({
    apiVersion: "v1",
    kind: "X",
    metadata: { finalizers, ...more },
  });
  deepEqual(finalizersFor(object(["a"]), "f", false), ["a", "f"]);
  equal(finalizersFor(object(["f"]), "f", true), undefined);
  equal(finalizersFor(object(["f"], ending), "f", true), undefined);
  deepEqual(finalizersFor(object(["a", "f"], ending), "f", false), ["a"]);
  equal(finalizersFor(object(["a"], ending), "f", false), undefined);
});

test("a deleted claim stays until the pod that uses it is gone", async (t) => {
  const api = world(t, [claimProtection]);
  const names = async () => (await api.client.list(PERSISTENT_VOLUME_CLAIMS)).items.map((c) => c.metadata.name);
  await api.client.create(PODS, pod(byName, "n"));
  await api.client.create(PERSISTENT_VOLUME_CLAIMS, claim());
  await api.client.delete(PERSISTENT_VOLUME_CLAIMS, { namespace: "default", name: "web-data" });
  deepEqual(await names(), ["web-data"]);
  await api.client.delete(PODS, { namespace: "default", name: "web" }, { gracePeriodSeconds: 0 });
  await until(async () => (await names()).length === 0);
});
