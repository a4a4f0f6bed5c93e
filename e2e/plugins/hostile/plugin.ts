/** An admission component that is nobody's friend. */
import { readConfig } from "#sdk/plugin/config.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { failure } from "#sdk/plugin/failure.ts";
import type { Mutation, Review } from "#sdk/plugin/types.ts";

const kept: unknown[] = [];

/** Well within its deadline: nothing stops it. */
const FLOOD_MS = 300;

function flood(once: () => void): Mutation {
  for (const end = Date.now() + FLOOD_MS; Date.now() < end; ) once();
  return { patch: "", warnings: [] };
}

const patchOf = (...operations: object[]): Mutation => ({ patch: JSON.stringify(operations), warnings: [] });

const behaviours: Record<string, (review: Review) => Mutation> = {
  loop: () => {
    for (;;) kept.length = 0;
  },
  memory: () => {
    for (;;) kept.push(new Array(10_000).fill(kept.length));
  },
  garbage: () => ({ patch: "{{{ not JSON", warnings: [] }),
  "no-list": () => ({ patch: '[{"op":"add"}]', warnings: [] }),
  misfit: () => patchOf({ op: "remove", path: "/spec/nothing/here" }),
  mistyped: () => patchOf({ op: "add", path: "/data", value: 5 }),
  huge: () => patchOf({ op: "add", path: "/data", value: { huge: "x".repeat(4 * 1024 * 1024) } }),
  large: () => patchOf({ op: "add", path: "/data", value: { large: "x".repeat(200 * 1024) } }),
  lines: () => flood(() => console.log("x".repeat(1000))),
  elsewhere: () => patchOf({ op: "replace", path: "/metadata/namespace", value: "kube-system" }),
  chatty: () => ({ patch: "", warnings: Array.from({ length: 2000 }, (_, i) => `${i} ${"w".repeat(1000)}`) }),
  verbose: () => {
    throw failure("Forbidden", "no".repeat(1024 * 1024), 403, "[not JSON");
  },
};

const behaviour = () => readConfig<{ behaviour: string }>().behaviour;
const defined = defineAdmission({
  mutate: (review) => behaviours[behaviour()]?.(review) ?? { patch: "", warnings: [] },
});

export const admission = {
  ...defined,
  mutate(review: Review): Mutation {
    // Out here nothing catches it and makes it an orderly failure.
    if (behaviour() === "trap") throw new Error("out of order");
    return defined.mutate(review);
  },
};
