import assert from "node:assert/strict";
import { test } from "node:test";
import { WORLDS } from "./manifest.ts";
import { definition, readContract } from "./wit.ts";

const contract = readContract("v1");

test("every world of the manifest is in the contract, and every capability it may be granted", () => {
  assert.deepEqual([...contract.worlds.keys()].sort(), [...WORLDS].sort());
  for (const world of contract.worlds.values()) {
    assert.deepEqual(world.imports, ["log", "config", "clock"], world.name);
    for (const name of world.exports) assert.ok(contract.interfaces.get(name)?.functions.length, name);
  }
  for (const name of ["api", "grpc", "exec", "files", "http", "net", "mount"])
    assert.ok(contract.interfaces.has(name), name);
});

test("types are found where they are defined, with their documentation", () => {
  const hooks = contract.interfaces.get("filter-hooks");
  assert.ok(hooks);
  const { home, def } = definition(contract, hooks, "pod-class");
  assert.deepEqual([home.name, def.kind, def.fields.length], ["scheduling", "record", 4]);
  assert.match(def.doc, /equal pods/);
  assert.deepEqual(hooks.functions[0]?.result, { kind: "list", of: { kind: "name", name: "verdicts" } });
});

test("every name that a function or type uses is defined", () => {
  for (const face of contract.interfaces.values()) {
    const check = (type: unknown): void => {
      if (typeof type !== "object" || type === null) return;
      if ("kind" in type && type.kind === "name" && "name" in type) definition(contract, face, String(type.name));
      for (const value of Object.values(type)) Array.isArray(value) ? value.forEach(check) : check(value);
    };
    for (const f of face.functions) [f.result, ...f.parameters.map((p) => p.type)].forEach(check);
    for (const def of face.types.values()) for (const field of def.fields) check(field.type);
  }
});
