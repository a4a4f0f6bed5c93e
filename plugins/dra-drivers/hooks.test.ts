import assert from "node:assert/strict";
import { it } from "node:test";
import { createHooks } from "./hooks.ts";
import { decode, encode } from "./messages.ts";

const claim = { metadata: { namespace: "default", uid: "u", name: "c" }, spec: {} };

it("one claim is asked about at a time, at the service that the driver registered", () => {
  const asked: [string, object][] = [];
  const device = { requestNames: ["gpu"], poolName: "n1", deviceName: "gpu-0", cdiDeviceIds: ["example.com/gpu=0"] };
  const hooks = createHooks(
    (socket, path, request) => {
      const method = path.slice(path.lastIndexOf("/") + 1);
      asked.push([`${socket} ${path}`, decode(`${method}Request`, request)]);
      return encode(`${method}Response`, { claims: { u: method.startsWith("NodeP") ? { devices: [device] } : {} } });
    },
    () => "v1.DRAPlugin",
  );
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
      () => encode("NodePrepareResourcesResponse", { claims }),
      () => "v1beta1.DRAPlugin",
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
