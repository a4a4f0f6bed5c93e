import { defineNodes, defineScore } from "#sdk/plugin/define.ts";

/** By the host's numbers of nodes: bytes. */
const allocatable = new Map<number, number>();
const requested = new Map<number, number>();

export const nodes = defineNodes({
  sync({ whole, nodes: changed, usage, removed }) {
    if (whole) {
      allocatable.clear();
      requested.clear();
    }
    for (const id of removed) {
      allocatable.delete(id);
      requested.delete(id);
    }
    for (const node of changed) allocatable.set(node.id, node.allocatable.memory);
    for (const { id, requested: amounts } of usage) requested.set(id, amounts.memory);
  },
});

/** The share of the node's memory that would be left, 0 to 100. */
function spare(id: number, wanted: number): number {
  const all = allocatable.get(id) ?? 0;
  const left = all - (requested.get(id) ?? 0) - wanted;
  return all > 0 && left > 0 ? Math.floor((left * 100) / all) : 0;
}

export const score = defineScore({
  score: (pods, ids) => pods.map(({ requests }) => Array.from(ids, (id) => spare(id, requests.memory))),
});
