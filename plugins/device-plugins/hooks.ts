/** World device's hooks as calls of the device plugin API: the socket's plugin has one resource, whose name the host tells. */
import type { DeviceHooks } from "#sdk/plugin/define-node.ts";
import type { Message } from "#sdk/plugin/protobuf.ts";
import type { ContainerEdits, DevicePool, DevicePreference, DeviceStock } from "#sdk/plugin/types.ts";
import { decode, encode } from "./messages.ts";

/** sdk/plugin/grpc.ts; a timeout of 0 is the deadline of the call into the component. */
export interface Grpc {
  unary(socket: string, method: string, request: Uint8Array, timeoutMs: number): Uint8Array;
  latest(socket: string, method: string, request: Uint8Array, timeoutMs: number): Uint8Array;
}

/** The name that the manifest gives the plugin's socket. */
const SOCKET = "plugin";
/** How soon a change of a device's health is seen; asking costs no call of the plugin. */
const LOOK_MS = 1_000;

interface Device {
  ID?: string;
  health?: string;
  topology?: { nodes?: { ID?: string }[] };
}
interface Options {
  preStartRequired?: boolean;
  getPreferredAllocationAvailable?: boolean;
}
interface Given {
  envs?: Record<string, string>;
  mounts?: { containerPath?: string; hostPath?: string; readOnly?: boolean }[];
  devices?: { containerPath?: string; hostPath?: string; permissions?: string }[];
  annotations?: Record<string, string>;
  cdiDevices?: { name?: string }[];
}

const deviceOf = ({ ID = "", health, topology }: Device): DevicePool["devices"][number] => ({
  id: ID,
  healthy: health === "Healthy",
  numaNodes: (topology?.nodes ?? []).map((node) => Number(node.ID ?? 0)),
});

const editsOf = ({
  envs = {},
  mounts = [],
  devices = [],
  annotations = {},
  cdiDevices = [],
}: Given): ContainerEdits => ({
  envs: Object.entries(envs),
  mounts: mounts.map(({ hostPath = "", containerPath = "", readOnly = false }) => ({
    hostPath,
    containerPath,
    readOnly,
  })),
  deviceNodes: devices.map(({ hostPath = "", containerPath = "", permissions = "" }) => ({
    hostPath,
    containerPath,
    permissions,
  })),
  annotations: Object.entries(annotations),
  cdiDevices: cdiDevices.map(({ name = "" }) => name),
});

/** `resource`: the name under which the plugin registered. */
export function createHooks({ unary, latest }: Grpc, resource: () => string): DeviceHooks {
  const path = (method: string) => `/v1beta1.DevicePlugin/${method}`;
  const call = <T>(method: string, request: [string, Message], answer: string): T =>
    decode(answer, unary(SOCKET, path(method), encode(...request), 0)) as T;
  /** What a plugin says of itself stays the same while it is registered. */
  let options: Options | undefined;
  return {
    inventory(): DeviceStock {
      options ??= call<Options>("GetDevicePluginOptions", ["Empty", {}], "DevicePluginOptions");
      const answer = latest(SOCKET, path("ListAndWatch"), encode("Empty", {}), 0);
      const { devices = [] } = decode("ListAndWatchResponse", answer) as { devices?: Device[] };
      const pool = {
        resourceName: resource(),
        devices: devices.map(deviceOf),
        preStartRequired: options.preStartRequired === true,
        preferredAllocation: options.getPreferredAllocationAvailable === true,
      };
      return { pools: [pool], resourceSlices: "", nextMs: LOOK_MS };
    },
    preferred({ available, mustInclude, count }: DevicePreference): string[] {
      const one = { availableDeviceIDs: available, mustIncludeDeviceIDs: mustInclude, allocationSize: count };
      const request = { containerRequests: [one] };
      const { containerResponses = [] } = call<{ containerResponses?: { deviceIDs?: string[] }[] }>(
        "GetPreferredAllocation",
        ["PreferredAllocationRequest", request],
        "PreferredAllocationResponse",
      );
      return containerResponses[0]?.deviceIDs ?? [];
    },
    allocate(_resource, ids) {
      const request = { containerRequests: [{ devicesIds: ids }] };
      const { containerResponses = [] } = call<{ containerResponses?: Given[] }>(
        "Allocate",
        ["AllocateRequest", request],
        "AllocateResponse",
      );
      const [given] = containerResponses;
      if (given === undefined) throw new Error("no containers return in allocation response");
      return editsOf(given);
    },
    preStart(_resource, ids) {
      call("PreStartContainer", ["PreStartContainerRequest", { devicesIds: ids }], "PreStartContainerResponse");
    },
  };
}
