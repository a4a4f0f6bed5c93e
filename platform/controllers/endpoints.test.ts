import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import type { Pod, Service } from "#sdk/api/generated/types.ts";
import { subsetsOf } from "./endpoints/reconcile.ts";
import { ENDPOINTS_MAX, planSlices } from "./endpointslice/reconcile.ts";

const service = (spec: Partial<Service["spec"]> = {}): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", namespace: "default", uid: "s", labels: { team: "a" } },
  spec: {
    clusterIP: "10.96.0.9",
    ipFamilies: ["IPv4"],
    selector: { app: "web" },
    ports: [{ name: "http", port: 80, targetPort: "http", protocol: "TCP" }],
    ...spec,
  },
});
const pod = (n: number, more: { ready?: boolean; deleting?: boolean; port?: number; phase?: string } = {}): Pod => ({
  metadata: {
    name: `p${n}`,
    namespace: "default",
    uid: `u${n}`,
    ...(more.deleting ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
  },
  spec: {
    nodeName: "n1",
    containers: [{ name: "c", ports: [{ name: "http", containerPort: more.port ?? 8080, protocol: "TCP" }] }],
  },
  status: {
    phase: more.phase ?? "Running",
    podIPs: [{ ip: `10.244.${n >> 8}.${n & 255}` }],
    conditions: [{ type: "Ready", status: more.ready === false ? "False" : "True" }],
  },
});
const noNode = () => undefined;

test("an endpoint tells readiness, serving and terminating, and where it is", () => {
  const pods = [pod(1), pod(2, { ready: false }), pod(3, { deleting: true }), pod(4, { phase: "Succeeded" })];
  const { create } = planSlices(service(), pods, [], (name) => ({
    metadata: { name, labels: { "topology.kubernetes.io/zone": "z1" } },
  }));
  equal(create.length, 1);
  deepEqual(
    create[0]?.endpoints?.map((e) => e.conditions),
    [
      { ready: true, serving: true, terminating: false },
      { ready: false, serving: false, terminating: false },
      { ready: false, serving: true, terminating: true },
    ],
  );
  deepEqual(create[0]?.endpoints?.[0], {
    addresses: ["10.244.0.1"],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: "n1",
    targetRef: { kind: "Pod", namespace: "default", name: "p1", uid: "u1" },
    zone: "z1",
  });
  deepEqual(create[0]?.ports, [{ name: "http", port: 8080, protocol: "TCP" }]);
  deepEqual(create[0]?.metadata.labels, {
    team: "a",
    "kubernetes.io/service-name": "web",
    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
  });
});

test("publishNotReadyAddresses makes every endpoint ready", () => {
  const { create } = planSlices(service({ publishNotReadyAddresses: true }), [pod(2, { ready: false })], [], noNode);
  equal(create[0]?.endpoints?.[0]?.conditions?.ready, true);
});

test("a service without pods has one empty slice, a headless one the label that says so", () => {
  const { create } = planSlices(service({ clusterIP: "None" }), [], [], noNode);
  deepEqual(
    create.map((s) => [s.endpoints, s.metadata.labels?.["service.kubernetes.io/headless"]]),
    [[[], ""]],
  );
});

test("pods whose named port differs are in slices of their own", () => {
  const { create } = planSlices(service(), [pod(1), pod(2, { port: 9090 })], [], noNode);
  deepEqual(
    create.map((s) => [s.ports?.[0]?.port, s.endpoints?.length]),
    [
      [8080, 1],
      [9090, 1],
    ],
  );
});

test("no slice has more than a hundred endpoints, and a change touches as few slices as possible", () => {
  const pods = Array.from({ length: 150 }, (_, i) => pod(i + 1));
  const first = planSlices(service(), pods, [], noNode).create;
  deepEqual(
    first.map((s) => s.endpoints?.length),
    [ENDPOINTS_MAX, 50],
  );
  const same = planSlices(service(), pods, first, noNode);
  deepEqual([same.create, same.update, same.delete], [[], [], []]);
  const grown = planSlices(service(), [...pods, pod(200)], first, noNode);
  deepEqual([grown.create.length, grown.update.length, grown.update[0]?.endpoints?.length], [0, 1, 51]);
  const shrunk = planSlices(service(), pods.slice(0, 100), first, noNode);
  deepEqual([shrunk.update.length, shrunk.delete.length], [0, 1]);
  const none = planSlices(service(), [], first, noNode);
  deepEqual([none.create.length, none.update.length, none.delete.length], [1, 0, 2]);
});

test("Endpoints separate what is ready from what is not, and leave out what ends", () => {
  const { subsets } = subsetsOf(service(), [pod(2, { ready: false }), pod(1), pod(3, { deleting: true })]);
  equal(subsets.length, 1);
  deepEqual(
    subsets[0]?.addresses?.map((a) => a.ip),
    ["10.244.0.1"],
  );
  deepEqual(
    subsets[0]?.notReadyAddresses?.map((a) => a.ip),
    ["10.244.0.2"],
  );
  deepEqual(subsets[0]?.ports, [{ name: "http", port: 8080, protocol: "TCP" }]);
});
