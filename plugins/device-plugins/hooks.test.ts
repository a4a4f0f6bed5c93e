import assert from "node:assert/strict";
import { it } from "node:test";
import { createHooks } from "./hooks.ts";
import { decode, encode } from "./messages.ts";

const RESOURCE = "example.com/gpu";

it("the inventory is what the plugin said last, under the name that it registered", () => {
  const asked: string[] = [];
  const answers: Record<string, Uint8Array> = {
    GetDevicePluginOptions: encode("DevicePluginOptions", { preStartRequired: true }),
    ListAndWatch: encode("ListAndWatchResponse", {
      devices: [
        { ID: "a", health: "Healthy", topology: { nodes: [{ ID: 0 }, { ID: 1 }] } },
        { ID: "b", health: "Unhealthy" },
      ],
    }),
  };
  const answer = (socket: string, path: string) => {
    const method = path.slice(path.lastIndexOf("/") + 1);
    asked.push(`${socket} ${path}`);
    return answers[method] ?? new Uint8Array();
  };
  const hooks = createHooks({ unary: answer, latest: answer }, () => RESOURCE);
  for (let i = 0; i < 2; i++)
    assert.deepEqual(hooks.inventory(), {
      pools: [
        {
          resourceName: RESOURCE,
          devices: [
            { id: "a", healthy: true, numaNodes: [0, 1] },
            { id: "b", healthy: false, numaNodes: [] },
          ],
          preStartRequired: true,
          preferredAllocation: false,
        },
      ],
      resourceSlices: "",
      nextMs: 1000,
    });
  assert.deepEqual(asked, [
    "plugin /v1beta1.DevicePlugin/GetDevicePluginOptions",
    "plugin /v1beta1.DevicePlugin/ListAndWatch",
    "plugin /v1beta1.DevicePlugin/ListAndWatch",
  ]);
});

it("one container is asked for at a time, and what it is given crosses whole", () => {
  const asked: [string, object][] = [];
  const answers: Record<string, [string, object]> = {
    GetPreferredAllocation: ["PreferredAllocationResponse", { containerResponses: [{ deviceIDs: ["b"] }] }],
    Allocate: [
      "AllocateResponse",
      {
        containerResponses: [
          {
            envs: { A: "1" },
            mounts: [{ containerPath: "/c", hostPath: "/h", readOnly: true }],
            devices: [{ containerPath: "/dev/c", hostPath: "/dev/h", permissions: "rw" }],
            annotations: { k: "v" },
            cdiDevices: [{ name: "example.com/gpu=a" }],
          },
        ],
      },
    ],
    PreStartContainer: ["PreStartContainerResponse", {}],
  };
  const requests: Record<string, string> = {
    GetPreferredAllocation: "PreferredAllocationRequest",
    Allocate: "AllocateRequest",
    PreStartContainer: "PreStartContainerRequest",
  };
  const unary = (_socket: string, path: string, request: Uint8Array) => {
    const method = path.slice(path.lastIndexOf("/") + 1);
    asked.push([method, decode(requests[method] ?? "", request)]);
    const [type, value] = answers[method] ?? ["Empty", {}];
    return encode(type, value as Parameters<typeof encode>[1]);
  };
  const hooks = createHooks({ unary, latest: unary }, () => RESOURCE);
  const preference = { resourceName: RESOURCE, available: ["a", "b"], mustInclude: [], count: 1 };
  assert.deepEqual(hooks.preferred?.(preference), ["b"]);
  assert.deepEqual(hooks.allocate?.(RESOURCE, ["b"]), {
    envs: [["A", "1"]],
    mounts: [{ hostPath: "/h", containerPath: "/c", readOnly: true }],
    deviceNodes: [{ hostPath: "/dev/h", containerPath: "/dev/c", permissions: "rw" }],
    annotations: [["k", "v"]],
    cdiDevices: ["example.com/gpu=a"],
  });
  hooks.preStart?.(RESOURCE, ["b"]);
  assert.deepEqual(asked, [
    [
      "GetPreferredAllocation",
      {
        containerRequests: [{ availableDeviceIDs: ["a", "b"], allocationSize: 1 }],
      },
    ],
    ["Allocate", { containerRequests: [{ devicesIds: ["b"] }] }],
    ["PreStartContainer", { devicesIds: ["b"] }],
  ]);
});
