import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { CustomResourceDefinition, StorageVersionMigration } from "#sdk/api/generated/types.ts";
import { definitionDone, definitionRunning, type Step, statusWith, stepFor } from "./reconcile.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const migration = (
  name: string,
  conditions: Record<string, string> = {},
  more: { resource?: string; resourceVersion?: string } = {},
): StorageVersionMigration => ({
  apiVersion: "storagemigration.k8s.io/v1beta1",
  kind: "StorageVersionMigration",
  metadata: { name, uid: name, creationTimestamp: `2026-01-01T00:00:0${name.length}Z` },
  spec: { resource: { group: "", resource: more.resource ?? "secrets" } },
  status: {
    conditions: Object.entries(conditions).map(([type, status]) => ({
      type,
      status,
      reason: "R",
      message: "",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    })),
    ...(more.resourceVersion ? { resourceVersion: more.resourceVersion } : {}),
  },
});
const running = { Running: "True" };

const cases: [name: string, of: StorageVersionMigration, others: StorageVersionMigration[], step: Step][] = [
  ["the first of its resource begins", migration("a"), [migration("bb")], "begin"],
  ["a later one waits for its turn", migration("bb"), [migration("a")], "nothing"],
  ["… and while another runs", migration("a"), [migration("bb", running)], "nothing"],
  ["… not for one that is over", migration("bb"), [migration("a", { Running: "False", Failed: "True" })], "begin"],
  ["… nor for one of another resource", migration("bb"), [migration("a", {}, { resource: "pods" })], "begin"],
  ["who runs finds out up to where", migration("a", running), [], "mark"],
  ["… and then writes", migration("a", running, { resourceVersion: "5" }), [], "migrate"],
  ["who is done no longer runs", migration("a", { ...running, Succeeded: "True" }), [], "end"],
  ["… and has nothing left to do", migration("a", { Running: "False", Succeeded: "True" }), [], "nothing"],
];
for (const [name, of, others, step] of cases) test(name, () => equal(stepFor(of, [of, ...others]), step));

test("the end is told by conditions in upstream's words", () => {
  const { conditions = [] } = statusWith(migration("a", running), "Succeeded", "", NOW);
  deepEqual(
    conditions.map(({ type, status, reason }) => [type, status, reason]),
    [
      ["Running", "True", "R"],
      ["Succeeded", "True", "StorageVersionMigrationSucceeded"],
    ],
  );
  const ended = statusWith(migration("a", running), "Running", "Migration completed", NOW, "False").conditions?.[0];
  deepEqual([ended?.status, ended?.reason], ["False", "MigrationCompleted"]);
});

test("a definition that changed meanwhile keeps its stored versions", () => {
  const definition = (generation: number, status: CustomResourceDefinition["status"]): CustomResourceDefinition => ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "things.example.com", generation },
    spec: {
      group: "example.com",
      scope: "Cluster",
      names: { kind: "Thing", plural: "things" },
      versions: [{ name: "v2", served: true, storage: true }],
    },
    ...(status ? { status } : {}),
  });
  const during = definitionRunning(definition(1, { storedVersions: ["v1", "v2"] }), "m", NOW);
  deepEqual(definitionDone(definition(1, during), true, NOW).storedVersions, ["v2"]);
  deepEqual(definitionDone(definition(2, during), true, NOW).storedVersions, ["v1", "v2"]);
  deepEqual(definitionDone(definition(1, during), false, NOW).storedVersions, ["v1", "v2"]);
});
