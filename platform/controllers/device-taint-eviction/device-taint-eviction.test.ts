import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { DeviceTaint, DeviceToleration, Pod, ResourceClaim, ResourceSlice } from "#sdk/api/generated/types.ts";
import type { Client } from "#sdk/client/port.ts";
import { PODS, RESOURCE_CLAIMS, RESOURCE_SLICES } from "../resources.ts";
import { converges } from "../testing/converge.ts";
import { deviceTaintEvictionController } from "./controller.ts";
import { deviceEvictionInMs, taintedDevices } from "./reconcile.ts";

const NOW = Date.parse("2026-01-01T00:01:00Z");
const TAINT: DeviceTaint = { key: "broken", effect: "NoExecute", timeAdded: "2026-01-01T00:00:00Z" };
const slice = (name: string, generation: number, taints: DeviceTaint[]): ResourceSlice => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceSlice",
  metadata: { name },
  spec: {
    driver: "gpu.example",
    pool: { name: "node", generation, resourceSliceCount: 1 },
    devices: [{ name: "one", taints }, { name: "two" }],
  },
});
const pod = (name: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default", uid: `uid-${name}` },
  spec: { nodeName: "n", containers: [], resourceClaims: [{ name: "gpu", resourceClaimName: `claim-${name}` }] },
});
const claim = (name: string, device: string, tolerations: DeviceToleration[] = []): ResourceClaim => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceClaim",
  metadata: { name: `claim-${name}`, namespace: "default" },
  spec: {},
  status: {
    allocation: {
      devices: { results: [{ driver: "gpu.example", pool: "node", device, request: "r", tolerations }] },
    },
    reservedFor: [{ resource: "pods", name, uid: `uid-${name}` }],
  },
});

test("a pod goes for its own device's taint, when its claim's toleration is over", () => {
  const devices = taintedDevices([slice("a", 1, [TAINT])]);
  const inMs = (device: string, tolerations?: DeviceToleration[]) =>
    deviceEvictionInMs(pod("a"), [claim("a", device, tolerations)], devices, NOW);
  equal(inMs("one"), 0);
  equal(inMs("two"), undefined);
  equal(inMs("one", [{ key: "broken", operator: "Exists" }]), undefined);
  equal(inMs("one", [{ key: "broken", operator: "Exists", tolerationSeconds: 90 }]), 30_000);
  equal(deviceEvictionInMs(pod("b"), [claim("a", "one")], devices, NOW), undefined);
});

test("of a pool only the newest generation counts", () => {
  deepEqual([...taintedDevices([slice("a", 1, [TAINT]), slice("b", 2, [])]).keys()], []);
});

test("pods with broken devices go and others stay, whatever happens on the way", async (t) => {
  const withClaim = (name: string, device: string) => async (client: Client) => {
    await client.create(RESOURCE_CLAIMS, claim(name, device));
    await client.create(PODS, pod(name));
  };
  await converges(t, {
    loops: [deviceTaintEvictionController],
    steps: [
      (client) => client.create(RESOURCE_SLICES, slice("a", 1, [TAINT])),
      withClaim("broken", "one"),
      withClaim("fine", "two"),
    ],
    view: async (client) => (await client.list<Pod>(PODS)).items.map((p) => p.metadata.name),
    expected: ["fine"],
  });
});
