/**
 * The pod network of a node that may make none: a pod gets an address of the node's range, which the API and its clients see, and listens on
 * the loopback address that belongs to it (platform/base/loopback.ts). Who has which is in one file, for an agent that starts again.
 */
import { join } from "node:path";
import { loopbackAddress } from "#platform/base/loopback.ts";
import type { Network } from "../ports.ts";
import { readJson, writeWhole } from "./files.ts";

export interface LoopbackNetwork extends Network {
  /** Where a sandbox's containers listen; undefined: it has no address. */
  listenAddress(sandboxId: string): string | undefined;
}

/** Of a /24: the network's, the bridge's that other nodes have there, and broadcast are nobody's. */
const FIRST = 2;
const LAST = 254;

export function createLoopbackNetwork(directory: string, instance: string, podCIDR: string): LoopbackNetwork {
  const file = join(directory, "addresses.json");
  /** Sandbox → address. */
  const taken = new Map(Object.entries(readJson<Record<string, string>>(file) ?? {}));
  const keep = () => writeWhole(file, JSON.stringify(Object.fromEntries(taken)));
  const base = (podCIDR.split("/")[0] ?? "").split(".").slice(0, 3).join(".");
  const free = (): string => {
    const used = new Set(taken.values());
    for (let last = FIRST; last <= LAST; last++) if (!used.has(`${base}.${last}`)) return `${base}.${last}`;
    throw new Error(`no address is left in ${podCIDR}`);
  };
  return {
    listenAddress(sandboxId) {
      const address = taken.get(sandboxId);
      return address === undefined ? undefined : loopbackAddress(instance, "pods", address);
    },
    async add({ containerId }) {
      const address = taken.get(containerId) ?? free();
      taken.set(containerId, address);
      keep();
      return { cniVersion: "1.0.0", ips: [{ address: `${address}/32` }] };
    },
    async del({ containerId }) {
      if (taken.delete(containerId)) keep();
    },
    check: async () => undefined,
    status: async () => undefined,
    async gc(valid) {
      const wanted = new Set(valid.map(({ containerId }) => containerId));
      for (const id of taken.keys()) if (!wanted.has(id)) taken.delete(id);
      keep();
    },
  };
}
