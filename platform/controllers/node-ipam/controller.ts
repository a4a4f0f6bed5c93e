/**
 * Gives every node that has none a range of pod addresses of each of the cluster's families (upstream: pkg/controller/nodeipam,
 * RangeAllocator): the last free ones of the cluster's. A range is a node's until the Node is deleted. One node at a time, so that two never get the same.
 */
import type { Node } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { NODES } from "../resources.ts";
import { freeNodeRange } from "./ranges.ts";

const ended = (signal: AbortSignal): Promise<void> =>
  signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

/** Until the informer has what was just given. */
const KEEP_MS = 60_000;

export const nodeIPAMController: Controller = {
  name: "node-ipam",
  async start(context) {
    const { podCIDRs = [], signal } = context;
    if (podCIDRs.length === 0) {
      await ended(signal);
      return;
    }
    const queue = createWorkQueue();
    const nodes = context.informers.nodes();
    const recorder = context.recorder("cidrAllocator");
    const given = new Map<string, { ranges: string[]; at: number }>();
    /** There was none for them. Nodes report all the time: they are looked at again when a node is gone, one for each. */
    const refused = new Set<string>();
    /** Nothing has become free since somebody was refused. */
    let full = false;
    const add = (node: Node) => {
      const key = keyOf(node);
      if (!node.spec?.podCIDR && !refused.has(key)) queue.add(key);
    };
    const lose = (node: Node) => {
      const had = given.delete(keyOf(node)) || node.spec?.podCIDR;
      refused.delete(keyOf(node));
      if (had) becomesFree();
    };
    /** Somebody's range, for whoever was refused first. */
    const becomesFree = () => {
      full = false;
      const [next] = refused;
      if (next === undefined) return;
      refused.delete(next);
      queue.add(next);
    };
    /** One of each of the cluster's ranges; fewer when one has none left. */
    const free = (now: number): string[] => {
      for (const [other, { at }] of given) if (now - at > KEEP_MS) given.delete(other);
      const taken = nodes.list().flatMap(({ spec }) => spec?.podCIDRs ?? spec?.podCIDR ?? []);
      const pending = [...given.values()].flatMap(({ ranges }) => ranges);
      return podCIDRs.flatMap((cidr) => freeNodeRange(cidr, [...taken, ...pending]) ?? []);
    };
    nodes.on({ added: add, updated: add, deleted: lose });
    if (!(await synced(context.signal, nodes))) return;
    await runController({
      name: "node-ipam",
      queue,
      workers: 1,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const node = nodes.get(key);
        if (!node || node.spec?.podCIDR) return;
        const now = Date.now();
        const ranges = full ? [] : free(now);
        const [range] = ranges;
        const { name = "" } = node.metadata;
        if (range === undefined || ranges.length < podCIDRs.length) {
          full = true;
          const object = { apiVersion: "v1", kind: "Node", metadata: node.metadata };
          const message = `Node ${name} status is now: CIDRNotAvailable`;
          recorder.event(object, "Normal", "CIDRNotAvailable", message);
          refused.add(key);
          return;
        }
        given.set(key, { ranges, at: now });
        const { resourceVersion } = node.metadata;
        const body = {
          metadata: { resourceVersion: resourceVersion ?? "" },
          spec: { podCIDR: range, podCIDRs: ranges },
        };
        try {
          await clientFor(context, node).patch(NODES, { name }, { type: "merge", body });
        } catch (error) {
          const had = given.delete(key);
          if (!isReason(error, "NotFound")) throw error;
          // The node is gone, and its range with it: when that is told, nothing shows that it had one.
          if (had) becomesFree();
        }
      },
    });
  },
};
