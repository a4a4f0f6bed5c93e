import assert from "node:assert/strict";
import { it } from "node:test";
import { createCodec } from "#sdk/plugin/protobuf.ts";
import { enums, messages } from "./generated.ts";
import { createHooks } from "./hooks.ts";

const { encode, decode } = createCodec({ messages, enums });

it("asks the driver's socket for the CSI method of each hook, and answers its JSON", () => {
  const asked: [string, string, object][] = [];
  const hooks = createHooks((socket, method, request) => {
    const name = method.slice(method.lastIndexOf("/") + 1);
    asked.push([socket, method, decode(`${name}Request`, request)]);
    return name === "CreateVolume"
      ? encode("CreateVolumeResponse", {
          volume: { volumeId: "v", capacityBytes: "5", accessibleTopology: [{ segments: { zone: "a" } }] },
        })
      : new Uint8Array();
  });
  const capability = { mount: { fsType: "ext4", mountFlags: ["ro"] }, accessMode: { mode: "SINGLE_NODE_WRITER" } };
  assert.deepEqual(hooks.controller.createVolume({ name: "pvc", volumeCapabilities: [capability] }), {
    volume: { volumeId: "v", capacityBytes: "5", accessibleTopology: [{ segments: { zone: "a" } }] },
  });
  hooks.node.publishVolume({
    volumeId: "v",
    targetPath: "/t",
    volumeCapability: capability,
    volumeContext: { a: "b" },
  });
  assert.deepEqual(asked, [
    ["driver", "/csi.v1.Controller/CreateVolume", { name: "pvc", volumeCapabilities: [capability] }],
    [
      "driver",
      "/csi.v1.Node/NodePublishVolume",
      { volumeId: "v", targetPath: "/t", volumeCapability: capability, volumeContext: { a: "b" } },
    ],
  ]);
});

it("a driver says that it is not ready, or says nothing and is", () => {
  const answers = [
    encode("ProbeResponse", { ready: { value: false } }),
    encode("ProbeResponse", { ready: { value: true } }),
    new Uint8Array(),
  ];
  const hooks = createHooks(() => answers.shift() ?? new Uint8Array());
  assert.throws(() => hooks.identity.probe(), /not ready yet/);
  hooks.identity.probe();
  hooks.identity.probe();
});
