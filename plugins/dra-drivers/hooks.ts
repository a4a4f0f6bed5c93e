/** World device's hooks for claims as calls of dynamic resource allocation's node API: the socket is that of one driver. */
import type { DeviceHooks } from "#sdk/plugin/define-node.ts";
import type { Message } from "#sdk/plugin/protobuf.ts";
import type { PreparedDevice } from "#sdk/plugin/types.ts";
import { decode, encode } from "./messages.ts";

/** sdk/plugin/grpc.ts; a timeout of 0 is the deadline of the call into the component. */
export type Unary = (socket: string, method: string, request: Uint8Array, timeoutMs: number) => Uint8Array;

/** The name that the manifest gives the driver's socket. */
const SOCKET = "driver";

interface Device {
  requestNames?: string[];
  poolName?: string;
  deviceName?: string;
  cdiDeviceIds?: string[];
}
interface Answer {
  devices?: Device[];
  error?: string;
}

const preparedOf = ({
  requestNames = [],
  poolName = "",
  deviceName = "",
  cdiDeviceIds = [],
}: Device): PreparedDevice => ({
  requests: requestNames,
  pool: poolName,
  device: deviceName,
  cdiDevices: cdiDeviceIds,
});

/** `service`: the one that the driver registered: "v1.DRAPlugin". */
export function createHooks(unary: Unary, service: () => string): DeviceHooks {
  /** The answer about the one claim that was asked about. Throws an Error in upstream's words where there is none, or where it is no. */
  const call = (method: string, claim: Message): Answer => {
    const path = `/k8s.io.kubelet.pkg.apis.dra.${service()}/${method}`;
    const bytes = unary(SOCKET, path, encode(`${method}Request`, { claims: [claim] }), 0);
    const { claims = {} } = decode(`${method}Response`, bytes) as { claims?: Record<string, Answer> };
    const uid = String(claim["uid"]);
    const other = Object.keys(claims).find((one) => one !== uid);
    if (other !== undefined) throw new Error(`${method} returned result for unknown claim UID ${other}`);
    const answer = claims[uid];
    if (answer === undefined) throw new Error(`${method} skipped 1 ResourceClaims`);
    if (answer.error) throw new Error(`${method} failed for ResourceClaim ${String(claim["name"])}: ${answer.error}`);
    return answer;
  };
  return {
    inventory: () => ({ pools: [], resourceSlices: "", nextMs: 0 }),
    prepare(claim) {
      const { namespace = "", uid = "", name = "" } = (claim["metadata"] ?? {}) as Message;
      return (call("NodePrepareResources", { namespace, uid, name }).devices ?? []).map(preparedOf);
    },
    unprepare: (uid, namespace, name) => void call("NodeUnprepareResources", { namespace, uid, name }),
  };
}
