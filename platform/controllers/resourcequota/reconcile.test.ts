import assert from "node:assert/strict";
import { test } from "node:test";
import type { DynamicObject } from "#sdk/api/object.ts";
import { countUsage } from "./reconcile.ts";

const pod = (cpu: string, phase = "Running") =>
  ({
    metadata: { name: "p" },
    spec: { containers: [{ name: "c", resources: { requests: { cpu } } }] },
    status: { phase },
  }) as unknown as DynamicObject;

test("each name of a quota has the sum of what counts, and zero where nothing does", async () => {
  const hard = { pods: "5", "requests.cpu": "2", configmaps: "3", "count/foos.example.com": "1", services: "1" };
  const listed: string[] = [];
  const objects: Record<string, DynamicObject[]> = {
    pods: [pod("1"), pod("500m"), pod("1", "Succeeded")],
    configmaps: [{ metadata: { name: "kube-root-ca.crt" } }],
    "foos.example.com": [{ metadata: { name: "f" } }],
  };
  const used = await countUsage(
    { metadata: { name: "q" }, spec: { hard } },
    async (resource) => {
      listed.push(resource);
      return objects[resource] ?? [];
    },
    0,
  );
  assert.deepEqual(used, {
    pods: "2",
    "requests.cpu": "1500m",
    configmaps: "1",
    "count/foos.example.com": "1",
    services: "0",
  });
  assert.deepEqual(listed.sort(), ["configmaps", "foos.example.com", "pods", "services"]);
});

test("a resource that devices stand for counts pods, and claims for what their pods do not count", async () => {
  const resource = "example.com/gpu";
  const spec = { containers: [{ name: "c", resources: { requests: { [resource]: "2" } } }] };
  const owner = { apiVersion: "v1", kind: "Pod", name: "p", uid: "u", controller: true };
  const claim = (name: string, count: number, more: object = {}) => ({
    metadata: { name, ...more },
    spec: { devices: { requests: [{ name: "r", exactly: { deviceClassName: "gpu", count } }] } },
  });
  const made = { ownerReferences: [owner], annotations: { "resource.kubernetes.io/extended-resource-claim": "true" } };
  const objects: Record<string, object[]> = {
    pods: [{ metadata: { name: "p", uid: "u" }, spec }],
    "resourceclaims.resource.k8s.io": [claim("made", 2, made), claim("own", 3)],
    "deviceclasses.resource.k8s.io": [{ metadata: { name: "gpu" }, spec: { extendedResourceName: resource } }],
  };
  const name = `requests.${resource}`;
  const quota = { metadata: { name: "q" }, spec: { hard: { [name]: "9" } } };
  const used = await countUsage(quota, async (of) => (objects[of] ?? []) as DynamicObject[], 0);
  assert.deepEqual(used, { [name]: "5" });
});
