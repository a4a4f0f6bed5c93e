import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { NodeTable, scores } from "#sdk/plugin/scheduling.ts";
import { type Images, score as scoreOf, wantedOf } from "./images.ts";

const table = new NodeTable<Images>((object) => {
  const { status } = JSON.parse(object) as Partial<Node>;
  return new Map(
    (status?.images ?? []).flatMap(({ names, sizeBytes }) =>
      (names ?? []).map((name): [string, number] => [name, sizeBytes ?? 0]),
    ),
  );
});

/** How many nodes have an image, by its name; undefined after nodes changed. */
let spread: Map<string, number> | undefined;
let count = 0;

function countImages(): Map<string, number> {
  const counts = new Map<string, number>();
  const ids = table.ids();
  count = ids.length;
  for (const id of ids) {
    for (const name of table.row(id)?.facts.keys() ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

export const nodes = defineNodes({
  sync(delta) {
    if (table.apply(delta).nodes) spread = undefined;
  },
});

export const score = defineScore({
  score(pods, ids) {
    spread ??= countImages();
    const known = spread;
    const share = (name: string) => (known.get(name) ?? 0) / count;
    return pods.map((pod) => {
      const wanted = wantedOf((JSON.parse(pod.object) as Partial<Pod>).spec);
      return scores(table, ids, ({ facts }) => (facts.size === 0 ? 0 : scoreOf(wanted, facts, share)));
    });
  },
});
