/** World device's hooks for claims as calls of dynamic resource allocation's node API: the socket is that of one driver. */
import type { DeviceHooks } from "#sdk/plugin/define-node.ts";
import type { Message } from "#sdk/plugin/protobuf.ts";
import type { DevicePool, PreparedDevice } from "#sdk/plugin/types.ts";
import { decode, encode } from "./messages.ts";

type Call = (socket: string, method: string, request: Uint8Array, timeoutMs: number) => Uint8Array;

/** sdk/plugin/grpc.ts; a timeout of 0 is the deadline of the call into the component. */
export interface Grpc {
  unary: Call;
  latest: Call;
}

/** What the driver registered. */
export interface Driver {
  /** "v1.DRAPlugin". */
  service: string;
  /** It tells of its devices' health, too. */
  health: boolean;
}

/** The name that the manifest gives the driver's socket. */
const SOCKET = "driver";
const HEALTH = "/v1alpha1.DRAResourceHealth/NodeWatchResources";
/** How soon a change of a device's health is seen; asking costs no call of the driver. */
const LOOK_MS = 1_000;
/** What was said longer ago does not count, where the driver gives no other time. */
const HEALTH_SECONDS_MAX = 30;

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

interface Health {
  device?: { poolName?: string; deviceName?: string };
  health?: string;
  lastUpdatedTime?: string;
  healthCheckTimeoutSeconds?: string;
}

/** Devices of which it is known by pool; `now` in milliseconds. */
function poolsOf(all: readonly Health[], now: number): DevicePool[] {
  const pools = new Map<string, DevicePool>();
  for (const { device, health, lastUpdatedTime, healthCheckTimeoutSeconds } of all) {
    const { poolName = "", deviceName = "" } = device ?? {};
    const given = Number(healthCheckTimeoutSeconds ?? 0);
    const seconds = given > 0 ? given : HEALTH_SECONDS_MAX;
    if (health === "UNKNOWN" || now / 1000 - Number(lastUpdatedTime ?? 0) > seconds) continue;
    const pool = pools.get(poolName) ?? {
      resourceName: poolName,
      devices: [],
      preStartRequired: false,
      preferredAllocation: false,
    };
    pool.devices.push({ id: deviceName, healthy: health === "HEALTHY", numaNodes: [] });
    pools.set(poolName, pool);
  }
  return [...pools.values()];
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

/** An inventory tells of devices' health alone: by pool those of which it is known. */
export function createHooks({ unary, latest }: Grpc, driver: () => Driver, now: () => number): DeviceHooks {
  /** The answer about the one claim that was asked about. Throws an Error in upstream's words where there is none, or where it is no. */
  const call = (method: string, claim: Message): Answer => {
    const path = `/k8s.io.kubelet.pkg.apis.dra.${driver().service}/${method}`;
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
    inventory() {
      if (!driver().health) return { pools: [], resourceSlices: "", nextMs: 0 };
      const answer = latest(SOCKET, HEALTH, encode("NodeWatchResourcesRequest", {}), 0);
      const { devices = [] } = decode("NodeWatchResourcesResponse", answer) as { devices?: Health[] };
      return { pools: poolsOf(devices, now()), resourceSlices: "", nextMs: LOOK_MS };
    },
    prepare(claim) {
      const { namespace = "", uid = "", name = "" } = (claim["metadata"] ?? {}) as Message;
      return (call("NodePrepareResources", { namespace, uid, name }).devices ?? []).map(preparedOf);
    },
    unprepare: (uid, namespace, name) => void call("NodeUnprepareResources", { namespace, uid, name }),
  };
}
