import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { selectorFor } from "./selectors.ts";

const namespace = (selector?: string): { name: string; annotations: Record<string, string> } => ({
  name: "ns",
  annotations: selector === undefined ? {} : { "scheduler.alpha.kubernetes.io/node-selector": selector },
});

test("a pod gets its namespace's selector, or else the default one, and keeps its own", () => {
  deepEqual(selectorFor({ own: "x" }, namespace("env=prod, disk=ssd"), {}), { env: "prod", disk: "ssd", own: "x" });
  deepEqual(selectorFor({}, namespace(), { clusterDefaultNodeSelector: "env=test" }), { env: "test" });
  deepEqual(selectorFor({}, namespace(""), { clusterDefaultNodeSelector: "env=test" }), {});
});

test("what disagrees, or goes beyond, is refused in upstream's words", () => {
  throws(() => selectorFor({ env: "test" }, namespace("env=prod"), {}), {
    message: "pod node label selector conflicts with its namespace node label selector",
  });
  throws(() => selectorFor({ other: "x" }, namespace("env=prod"), { ns: "env=prod" }), {
    message: "pod node label selector labels conflict with its namespace whitelist",
  });
});
