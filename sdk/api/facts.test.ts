import assert from "node:assert/strict";
import { test } from "node:test";
import { bootstrap, definitionOf, resourceByGVR, resourceByName, resources, schemaAt, typeOf, types } from "./facts.ts";
import type { Schema } from "./schema.ts";

const POD = { group: "", version: "v1", kind: "Pod" };

test("every resource's kind has a structure, and every reference leads somewhere", () => {
  for (const r of resources()) {
    assert.ok(definitionOf(r) ?? r.verbs.length === 0, `${r.group}/${r.version} ${r.kind}`);
  }
  const visit = (schema: Schema): void => {
    if (schema.ref !== undefined) assert.ok(types()[schema.ref], schema.ref);
    for (const child of [schema.items, schema.values, ...Object.values(schema.properties ?? {})])
      if (child) visit(child);
  };
  for (const schema of Object.values(types())) visit(schema);
});

test("resources are found by group, version and name", () => {
  const pods = resourceByGVR({ group: "", version: "v1", resource: "pods" });
  assert.deepEqual(pods?.shortNames, ["po"]);
  assert.ok(pods?.subresources.some((s) => s.name === "eviction" && s.group === "policy"));
  assert.equal(resourceByName("autoscaling", "horizontalpodautoscalers")?.version, "v2");
  assert.equal(resourceByName("capstan.dev", "plugins")?.namespaced, false);
});

test("paths are walked through references, arrays and maps", () => {
  const pod = typeOf(POD) as Schema;
  assert.equal(schemaAt(pod, ["spec", "containers"])?.patchMergeKey, "name");
  assert.equal(schemaAt(pod, ["spec", "containers", 0, "ports", 0, "containerPort"])?.format, "int32");
  assert.equal(schemaAt(pod, ["metadata", "labels", "app"])?.type, "string");
  assert.equal(schemaAt(pod, ["spec", "nothing"]), undefined);
});

test("aggregated default roles carry the rules of what they select, and nothing the server sets", () => {
  const { clusterRoles, priorityClasses } = bootstrap();
  const admin = clusterRoles.find((role) => role.metadata.name === "admin");
  assert.ok(Array.isArray(admin?.["rules"]) && admin["rules"].length > 10);
  for (const object of [...clusterRoles, ...priorityClasses]) {
    assert.equal(object.metadata.uid, undefined);
    assert.equal(object.metadata.resourceVersion, undefined);
  }
});
