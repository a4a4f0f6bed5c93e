import { readConfig } from "#sdk/plugin/config.ts";
import { defineFilter, defineNodes } from "#sdk/plugin/define.ts";
import type { NodeEntry } from "#sdk/plugin/types.ts";

const MiB = 1024 * 1024;
const LOW = { reasons: ["node(s) had too little memory in reserve"], unresolvable: false };

/** By the host's numbers of nodes. */
const nodesById = new Map<number, NodeEntry>();
const requested = new Map<number, number>();

export const nodes = defineNodes({
  sync({ whole, nodes: changed, usage, removed }) {
    if (whole) {
      nodesById.clear();
      requested.clear();
    }
    for (const id of removed) {
      nodesById.delete(id);
      requested.delete(id);
    }
    for (const node of changed) nodesById.set(node.id, node);
    for (const { id, requested: amounts } of usage) requested.set(id, amounts.memory);
  },
});

export const filter = defineFilter({
  evaluate(pods, ids) {
    const { reserveMiB = 0 } = readConfig<{ reserveMiB?: number }>();
    const free = Array.from(ids, (id) => (nodesById.get(id)?.allocatable.memory ?? 0) - (requested.get(id) ?? 0));
    return pods.map(({ requests }) => ({
      codes: free.map((bytes) => (bytes - requests.memory < reserveMiB * MiB ? 1 : 0)),
      outcomes: [LOW],
    }));
  },
});
