import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { ContainerStatus, Plugin, Pod, PodStatus, Service } from "#sdk/api/generated/types.ts";
import type { DynamicObject, KubeObject } from "#sdk/api/object.ts";
import { humanDuration } from "./format.ts";
import { tablePrinters } from "./index.ts";
import { RECORDED_AT, type RecordedRow } from "./recorded.ts";
import { renderTable } from "./table.ts";

const recorded = JSON.parse(
  readFileSync(new URL("./generated/recorded.json", import.meta.url), "utf8"),
) as RecordedRow[];
const now = new Date("2024-05-01T12:00:00Z");
const core = (resource: string) => ({ group: "", version: "v1", resource });

function cells(resource: { group: string; version: string; resource: string }, object: KubeObject) {
  return renderTable({ resource, objects: [object as DynamicObject], metadata: {}, now }).rows[0]?.cells;
}

test("rows and columns are those the original server showed", () => {
  assert.ok(recorded.length > 30);
  for (const { group, resource, object, columns, cells } of recorded) {
    const at = { group, version: "", resource };
    const table = renderTable({ resource: at, objects: [object], metadata: {}, now: new Date(RECORDED_AT) });
    assert.deepEqual(
      table.columnDefinitions?.map((c) => [c.name, c.type, c.format, c.priority]),
      columns,
      resource,
    );
    assert.deepEqual(table.rows[0]?.cells, cells, resource);
  }
});

const CONTAINER: ContainerStatus = { name: "c", image: "i", imageID: "", ready: false, restartCount: 0 };
const podOf = (status: PodStatus, more: Partial<Pod["spec"]> = {}, deleted = false): Pod => ({
  metadata: {
    name: "p",
    creationTimestamp: "2024-05-01T11:00:00Z",
    ...(deleted ? { deletionTimestamp: "2024-05-01T11:59:00Z" } : {}),
  },
  spec: { containers: [{ name: "c" }], ...more },
  status,
});
const shown = (pod: Pod) => cells(core("pods"), pod)?.slice(1, 4);
const running = { ...CONTAINER, ready: true, state: { running: {} } };
const ended = (exitCode: number, reason?: string) => ({ ...CONTAINER, state: { terminated: { exitCode, reason } } });

test("a pod's status is the one word that says what its containers do", () => {
  const waiting = (reason: string) => ({ ...CONTAINER, state: { waiting: { reason } } });
  const init = { initContainers: [{ name: "c" }] };
  const cases: [Pod, string[]][] = [
    [podOf({ phase: "Pending" }), ["0/1", "Pending", "0"]],
    [podOf({ phase: "Running", containerStatuses: [running] }), ["1/1", "Running", "0"]],
    [podOf({ phase: "Pending", containerStatuses: [waiting("ContainerCreating")] }), ["0/1", "ContainerCreating", "0"]],
    [podOf({ phase: "Succeeded", containerStatuses: [ended(0, "Completed")] }), ["0/1", "Completed", "0"]],
    [podOf({ phase: "Failed", containerStatuses: [ended(3)] }), ["0/1", "ExitCode:3", "0"]],
    [podOf({ phase: "Failed", reason: "Evicted" }), ["0/1", "Evicted", "0"]],
    [podOf({ phase: "Pending", initContainerStatuses: [waiting("PodInitializing")] }, init), ["0/1", "Init:0/1", "0"]],
    [
      podOf({ phase: "Pending", initContainerStatuses: [waiting("CrashLoopBackOff")] }, init),
      ["0/1", "Init:CrashLoopBackOff", "0"],
    ],
    [podOf({ phase: "Pending", initContainerStatuses: [ended(1, "Error")] }, init), ["0/1", "Init:Error", "0"]],
    [podOf({ phase: "Running", containerStatuses: [running] }, {}, true), ["1/1", "Terminating", "0"]],
    [podOf({ phase: "Running", reason: "NodeLost" }, {}, true), ["0/1", "Unknown", "0"]],
  ];
  for (const [pod, want] of cases) assert.deepEqual(shown(pod), want);
});

test("restarts say when the last one was, and sidecars count as containers", () => {
  const lastState = { terminated: { exitCode: 1, finishedAt: "2024-05-01T11:55:00Z" } };
  const crashed = { ...CONTAINER, restartCount: 4, lastState, state: { waiting: { reason: "CrashLoopBackOff" } } };
  assert.deepEqual(shown(podOf({ phase: "Running", containerStatuses: [crashed] })), [
    "0/1",
    "CrashLoopBackOff",
    "4 (5m ago)",
  ]);
  const sidecar = { initContainers: [{ name: "s", restartPolicy: "Always" }] };
  const statuses = { initContainerStatuses: [{ ...running, name: "s", started: true }], containerStatuses: [running] };
  assert.deepEqual(shown(podOf({ phase: "Running", ...statuses }, sidecar)), ["2/2", "Running", "0"]);
});

test("a load balancer without an address is pending, then shows its address", () => {
  const service: Service = {
    metadata: { name: "s" },
    spec: { type: "LoadBalancer", clusterIPs: ["10.0.0.1"], ports: [{ port: 80, nodePort: 30080, protocol: "TCP" }] },
  };
  assert.deepEqual(cells(core("services"), service), [
    "s",
    "LoadBalancer",
    "10.0.0.1",
    "<pending>",
    "80:30080/TCP",
    "<unknown>",
    "<none>",
  ]);
  service.status = { loadBalancer: { ingress: [{ ip: "192.0.2.1" }] } };
  assert.equal(cells(core("services"), service)?.[3], "192.0.2.1");
});

test("a plugin's row sums over the hosts that run it", () => {
  const host = { engine: "wasmtime", state: "Ready", calls: 5, errors: 1, restarts: 1, memoryBytes: 2 ** 20 };
  const plugin: Plugin = {
    metadata: { name: "node-resources" },
    spec: { worlds: ["filter", "score"], digest: "sha256:1" },
    status: { hosts: { "scheduler/0": host, "scheduler/1": { ...host, engine: "jco" } } },
  };
  const at = { group: "capstan.dev", version: "v1", resource: "plugins" };
  assert.deepEqual(cells(at, plugin), [
    "node-resources",
    "filter,score",
    "jco,wasmtime",
    "Ready",
    10,
    2,
    "<unknown>",
    "sha256:1",
    "2Mi",
    "2",
  ]);
  assert.equal(cells(at, { ...plugin, spec: { enabled: false } } as Plugin)?.[3], "Disabled");
});

test("rows carry what includeObject asks for, and a watch's later events no columns", () => {
  const object = podOf({ phase: "Failed" }) as unknown as DynamicObject;
  const request = { resource: core("pods"), objects: [object], metadata: { resourceVersion: "7" }, now };
  const table = renderTable(request);
  assert.equal(table.rows[0]?.object?.kind, "PartialObjectMetadata");
  assert.equal(table.rows[0]?.conditions?.[0]?.reason, "Failed");
  assert.equal(renderTable({ ...request, includeObject: "None" }).rows[0]?.object, null);
  assert.equal(renderTable({ ...request, includeObject: "Object" }).rows[0]?.object, object);
  assert.equal(renderTable({ ...request, noHeaders: true }).columnDefinitions, null);
});

test("ages are told in two or three figures", () => {
  const hour = 3600;
  const cases: [seconds: number, text: string][] = [
    [-5, "<invalid>"],
    [-1, "0s"],
    [119, "119s"],
    [180, "3m"],
    [200, "3m20s"],
    [2 * hour, "120m"],
    [3 * hour, "3h"],
    [5 * hour + 60, "5h1m"],
    [47 * hour, "47h"],
    [50 * hour, "2d2h"],
    [400 * 24 * hour, "400d"],
    [800 * 24 * hour, "2y70d"],
  ];
  for (const [seconds, text] of cases) assert.equal(humanDuration(seconds * 1000), text);
});

test("a bookmark is a row of every kind: its object is nothing but a revision", () => {
  for (const name of tablePrinters.keys()) {
    const [resource = "", ...group] = name.split(".");
    const bookmark = { metadata: { resourceVersion: "7", annotations: { "k8s.io/initial-events-end": "true" } } };
    const at = { group: group.join("."), version: "v1", resource };
    const { rows, columnDefinitions } = renderTable({ resource: at, objects: [bookmark], metadata: {}, now });
    assert.equal(rows[0]?.cells.length, columnDefinitions?.length, name);
    assert.deepEqual(rows[0]?.object?.metadata, bookmark.metadata, name);
  }
});
