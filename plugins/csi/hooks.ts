/** World volume's hooks as CSI v1 calls: a message in its JSON mapping to protobuf, one unary call, and back. */
import { createCodec, type Message } from "#sdk/plugin/protobuf.ts";
import { enums, messages } from "./generated.ts";

/** gRPC by a socket's granted name (sdk/plugin/grpc.ts); a timeout of 0 is the deadline of the call into the component. */
export type Unary = (socket: string, method: string, request: Uint8Array, timeoutMs: number) => Uint8Array;

/** The name that the manifest gives the driver's socket. */
const SOCKET = "driver";
const { encode, decode } = createCodec({ messages, enums });

type Hook = (request?: Record<string, unknown>) => object;

/** By hook: the call's name, which is also its messages'. */
const controllerCalls = {
  getCapabilities: "ControllerGetCapabilities",
  createVolume: "CreateVolume",
  deleteVolume: "DeleteVolume",
  publishVolume: "ControllerPublishVolume",
  unpublishVolume: "ControllerUnpublishVolume",
  validateVolumeCapabilities: "ValidateVolumeCapabilities",
  listVolumes: "ListVolumes",
  getVolume: "ControllerGetVolume",
  getCapacity: "GetCapacity",
  expandVolume: "ControllerExpandVolume",
  modifyVolume: "ControllerModifyVolume",
  createSnapshot: "CreateSnapshot",
  deleteSnapshot: "DeleteSnapshot",
  listSnapshots: "ListSnapshots",
} as const;
const groupCalls = {
  createVolumeGroupSnapshot: "CreateVolumeGroupSnapshot",
  deleteVolumeGroupSnapshot: "DeleteVolumeGroupSnapshot",
  getVolumeGroupSnapshot: "GetVolumeGroupSnapshot",
} as const;
const nodeCalls = {
  getCapabilities: "NodeGetCapabilities",
  getInfo: "NodeGetInfo",
  stageVolume: "NodeStageVolume",
  unstageVolume: "NodeUnstageVolume",
  publishVolume: "NodePublishVolume",
  unpublishVolume: "NodeUnpublishVolume",
  getVolumeStats: "NodeGetVolumeStats",
  expandVolume: "NodeExpandVolume",
} as const;

export function createHooks(unary: Unary) {
  const call = (service: string, method: string, request: Record<string, unknown> = {}): object => {
    const asked = encode(`${method}Request`, request as Message);
    return decode(`${method}Response`, unary(SOCKET, `/csi.v1.${service}/${method}`, asked, 0));
  };
  const service = <K extends string>(name: string, calls: Readonly<Record<K, string>>): Record<K, Hook> =>
    Object.fromEntries(
      Object.entries<string>(calls).map(([hook, method]): [string, Hook] => [
        hook,
        (request) => call(name, method, request),
      ]),
    ) as Record<K, Hook>;
  return {
    identity: {
      getPluginInfo: () => call("Identity", "GetPluginInfo"),
      getPluginCapabilities: () => call("Identity", "GetPluginCapabilities"),
      probe: () => {
        // A driver that leaves it out is ready (CSI: "ready" is optional).
        const { ready } = call("Identity", "Probe") as { ready?: { value?: boolean } };
        if (ready !== undefined && ready.value !== true) throw new Error("the driver is not ready yet");
      },
    },
    controller: { ...service("Controller", controllerCalls), ...service("GroupController", groupCalls) },
    node: service("Node", nodeCalls),
  };
}
