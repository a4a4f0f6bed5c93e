/** The volume drivers of this node: those that registered a socket and those that are components; the CSINode object tells of them. */
import { join } from "node:path";
import { delay } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import type { CSIDriver, CSINode, CSINodeDriver, Node } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { NodeContext } from "../context.ts";
import { NODES } from "../node-object.ts";
import type { VolumeCalls } from "../ports.ts";
import { hostPathOf, KUBELET_ROOT } from "../volumes/host.ts";
import { capabilitiesShape, type NodeInfo, nodeInfoShape, pluginInfoShape } from "./messages.ts";
import type { Registered } from "./registration.ts";

const CSI_NODES: GroupVersionResource = { group: "storage.k8s.io", version: "v1", resource: "csinodes" };
const CSI_DRIVERS: GroupVersionResource = { group: "storage.k8s.io", version: "v1", resource: "csidrivers" };
/** An object that is read for every pod is kept this long. */
const KEPT_MS = 5_000;

export interface VolumeDriver {
  name: string;
  /** NodeGetCapabilities: "STAGE_UNSTAGE_VOLUME" … */
  capabilities: ReadonlySet<string>;
  call(hook: string, request: object): Promise<object>;
  /** A path of this host as the driver knows it. */
  pathOf(path: string): string;
}

export interface VolumeDrivers {
  /** Rejects for a driver that is not on this node now. */
  get(name: string): VolumeDriver;
  /** What the cluster says of a driver; undefined where nobody said anything. */
  object(name: string): Promise<CSIDriver | undefined>;
  /** Sockets in the directory plugins_registry. */
  registrations: { added(driver: Registered): Promise<void>; removed(driver: Registered): void };
  start(signal: AbortSignal): Promise<void>;
}

const NATIVE_MS = 5_000;

export function createVolumeDrivers(context: NodeContext, calls: VolumeCalls): VolumeDrivers {
  const { client, settings, log, clock } = context;
  const drivers = new Map<string, VolumeDriver & { info: NodeInfo }>();
  const objects = new Map<string, { at: number; value: CSIDriver | undefined }>();
  let writing = Promise.resolve();

  const take = async (name: string, plugin: string, pathOf: VolumeDriver["pathOf"]): Promise<void> => {
    const call = (hook: string, request?: object) => calls.call(plugin, "node", hook, request);
    const info = nodeInfoShape.parse(await call("getInfo"));
    const { capabilities = [] } = capabilitiesShape.parse(await call("getCapabilities"));
    const types = new Set(capabilities.flatMap(({ rpc }) => (rpc === undefined ? [] : [rpc.type])));
    drivers.set(name, { name, info, capabilities: types, pathOf, call });
    await tell();
    log.info("a volume driver is ready", { driver: name, capabilities: [...types].join() });
  };

  const leave = (name: string): void => {
    drivers.delete(name);
    calls.remove(name);
    void tell().catch((error: unknown) => log.warn("the CSINode was not written", { error: messageOf(error) }));
  };

  /** One write after the other: each says all that is known by then. */
  const tell = (): Promise<void> => {
    writing = writing.catch(() => undefined).then(writeNode);
    return writing;
  };

  const writeNode = async (): Promise<void> => {
    const node = await client.get<Node>(NODES, { name: settings.name });
    const list = [...drivers.values()].map(({ name, info }): CSINodeDriver => {
      const topologyKeys = Object.keys(info.accessibleTopology?.segments ?? {});
      const count = info.maxVolumesPerNode ?? 0;
      return { name, nodeID: info.nodeId, topologyKeys, ...(count > 0 ? { allocatable: { count } } : {}) };
    });
    const labels = Object.assign({}, ...[...drivers.values()].map(({ info }) => info.accessibleTopology?.segments));
    if (Object.keys(labels).length > 0)
      await client.patch<Node>(NODES, { name: settings.name }, { type: "merge", body: { metadata: { labels } } });
    const owner = { apiVersion: "v1", kind: "Node", name: settings.name, uid: node.metadata.uid ?? "" };
    const wanted: CSINode = {
      apiVersion: "storage.k8s.io/v1",
      kind: "CSINode",
      metadata: { name: settings.name, ownerReferences: [owner] },
      spec: { drivers: list },
    };
    await client.create<CSINode>(CSI_NODES, wanted).catch(async (error: unknown) => {
      if (!isReason(error, "AlreadyExists")) throw error;
      // What a driver said of itself cannot be changed, only taken away and said anew.
      const present = await client.get<CSINode>(CSI_NODES, { name: settings.name });
      await client.update<CSINode>(CSI_NODES, { ...present, spec: wanted.spec });
    });
  };

  const pathsOf = (endpoint: string): VolumeDriver["pathOf"] =>
    endpoint.startsWith(`${KUBELET_ROOT}/`)
      ? (path) =>
          path.startsWith(`${settings.directory}/`) ? join(KUBELET_ROOT, path.slice(settings.directory.length)) : path
      : (path) => path;

  /** Components that are drivers come and go with their Plugins. */
  const followNatives = async (known: Map<string, string>): Promise<void> => {
    const present = new Set(calls.natives());
    for (const [plugin, name] of known)
      if (!present.has(plugin)) {
        known.delete(plugin);
        drivers.delete(name);
        await tell();
      }
    for (const plugin of present) {
      if (known.has(plugin)) continue;
      const { name } = pluginInfoShape.parse(await calls.call(plugin, "identity", "getPluginInfo"));
      await take(name, plugin, (path) => path);
      known.set(plugin, name);
    }
  };

  return {
    get(name) {
      const driver = drivers.get(name);
      if (driver === undefined) throw new Error(`driver name ${name} not found in the list of registered CSI drivers`);
      return driver;
    },
    async object(name) {
      const known = objects.get(name);
      if (known !== undefined && clock.now() - known.at < KEPT_MS) return known.value;
      const value = await client.get<CSIDriver>(CSI_DRIVERS, { name }).catch((error: unknown) => {
        if (isReason(error, "NotFound")) return undefined;
        throw error;
      });
      objects.set(name, { at: clock.now(), value });
      return value;
    },
    registrations: {
      async added({ name, endpoint }) {
        await calls.add(name, hostPathOf(endpoint, settings.directory));
        await take(name, name, pathsOf(endpoint));
      },
      removed: ({ name }) => leave(name),
    },
    async start(signal) {
      const natives = new Map<string, string>();
      const follow = async () => {
        while (!signal.aborted) {
          await followNatives(natives).catch((error: unknown) =>
            log.warn("a volume component could not be asked who it is", { error: messageOf(error) }),
          );
          await delay(NATIVE_MS, signal);
        }
      };
      await follow();
    },
  };
}
