import assert from "node:assert/strict";
import { it } from "node:test";
import { createHooks } from "./hooks.ts";
import { decode, encode } from "./messages.ts";

const never = () => {
  throw new Error("not asked for");
};
const claim = { metadata: { namespace: "default", uid: "u", name: "c" }, spec: {} };

it("one claim is asked about at a time, at the service that the driver registered", () => {
  const asked: [string, object][] = [];
  const device = { requestNames: ["gpu"], poolName: "n1", deviceName: "gpu-0", cdiDeviceIds: ["example.com/gpu=0"] };
  const unary = (socket: string, path: string, request: Uint8Array) => {
    const method = path.slice(path.lastIndexOf("/") + 1);
    asked.push([`${socket} ${path}`, decode(`${method}Request`, request)]);
    return encode(`${method}Response`, { claims: { u: method.startsWith("NodeP") ? { devices: [device] } : {} } });
  };
  const hooks = createHooks(
    { unary, latest: never },
    () => ({ service: "v1.DRAPlugin", health: false }),
    () => 0,
  );
  assert.deepEqual(hooks.inventory().pools, []);
  assert.deepEqual(hooks.prepare?.(claim), [
    { requests: ["gpu"], pool: "n1", device: "gpu-0", cdiDevices: ["example.com/gpu=0"] },
  ]);
  hooks.unprepare?.("u", "default", "c");
  const about = { claims: [{ namespace: "default", uid: "u", name: "c" }] };
  const service = "driver /k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin";
  assert.deepEqual(asked, [
    [`${service}/NodePrepareResources`, about],
    [`${service}/NodeUnprepareResources`, about],
  ]);
});

it("a claim that the driver says no to, or nothing, is not prepared", () => {
  const answering = (claims: Record<string, { error?: string }>) =>
    createHooks(
      { unary: () => encode("NodePrepareResourcesResponse", { claims }), latest: never },
      () => ({ service: "v1beta1.DRAPlugin", health: false }),
      () => 0,
    );
  const prepare = (claims: Record<string, { error?: string }>) => () => answering(claims).prepare?.(claim);
  assert.throws(prepare({ u: { error: "broken" } }), {
    message: "NodePrepareResources failed for ResourceClaim c: broken",
  });
  assert.throws(prepare({}), { message: "NodePrepareResources skipped 1 ResourceClaims" });
  assert.throws(prepare({ other: {} }), {
    message: "NodePrepareResources returned result for unknown claim UID other",
  });
});

it("the health of devices is what the driver said last, while that holds", () => {
  const said = (deviceName: string, health: string, lastUpdatedTime: number, healthCheckTimeoutSeconds = 0) => ({
    device: { poolName: "n1", deviceName },
    health,
    lastUpdatedTime,
    healthCheckTimeoutSeconds,
  });
  const devices = [
    said("a", "HEALTHY", 1000),
    said("b", "UNHEALTHY", 1000),
    said("c", "UNKNOWN", 1000),
    said("old", "HEALTHY", 960),
    said("slow", "HEALTHY", 900, 600),
  ];
  const hooks = createHooks(
    { unary: never, latest: () => encode("NodeWatchResourcesResponse", { devices }) },
    () => ({ service: "v1.DRAPlugin", health: true }),
    () => 1_001_000,
  );
  const [pool] = hooks.inventory().pools;
  assert.equal(pool?.resourceName, "n1");
  assert.deepEqual(
    pool?.devices.map(({ id, healthy }) => [id, healthy]),
    [
      ["a", true],
      ["b", false],
      ["slow", true],
    ],
  );
});
