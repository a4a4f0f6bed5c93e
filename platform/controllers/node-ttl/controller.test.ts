import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Node } from "#sdk/api/generated/types.ts";
import { NODES } from "../resources.ts";
import { converges } from "../testing/converge.ts";
import { nodeTTLController, stepOf, TTL_ANNOTATION } from "./controller.ts";

test("the step changes beyond its borders only", () => {
  deepEqual(
    [stepOf(95, 0), stepOf(101, 0), stepOf(95, 1), stepOf(89, 1), stepOf(1900, 3), stepOf(5000, 0)],
    [0, 1, 1, 0, 3, 4],
  );
});

test("every node says how long its agent may cache", async (t) => {
  const node = (name: string): Node => ({ apiVersion: "v1", kind: "Node", metadata: { name } });
  await converges(t, {
    loops: [nodeTTLController],
    steps: ["a", "b", "c"].map((name) => (client) => client.create(NODES, node(name))),
    view: async (client) => (await client.list<Node>(NODES)).items.map((n) => n.metadata.annotations?.[TTL_ANNOTATION]),
    expected: ["0", "0", "0"],
  });
});
