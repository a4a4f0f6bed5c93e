import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdmissionAttributes } from "../registry/admission.ts";
import type { AdmissionHook } from "./chain.ts";
import { type ExpectedPlugin, untilLoaded } from "./gate.ts";

const attributes = (resource: string, group = ""): AdmissionAttributes => ({
  tenant: 1,
  tenantName: "root",
  operation: "CREATE",
  kind: { group, version: "v1", kind: "X" },
  resource: { group, version: "v1", resource },
  subresource: "",
  namespace: "default",
  name: "x",
  dryRun: false,
  user: { tenant: 1, name: "somebody", groups: [] },
});

function gate(expected: ExpectedPlugin[], waitMs: number) {
  const { promise: loaded, resolve } = Promise.withResolvers<void>();
  const present: AdmissionHook[] = [];
  const components = untilLoaded({
    components: { hooks: () => present },
    loaded,
    expected: async () => expected,
    waitMs,
  });
  const load = () => {
    present.push({ name: "p" });
    resolve();
  };
  return { components, load };
}

test("a write that a plugin wants to see waits until the plugin is loaded", async () => {
  const { components, load } = gate([{ name: "p", failurePolicy: "Fail" }], 60_000);
  const hooks = components.hooks(1, attributes("pods"));
  load();
  assert.deepEqual(
    (await hooks).map(({ name }) => name),
    ["p"],
  );
});

test("what does not load in time refuses or is left out, by its failure policy", async () => {
  const closed = gate([{ name: "p", failurePolicy: "Fail" }], 1).components.hooks(1, attributes("pods"));
  await assert.rejects(async () => await closed, /admission plugin "p" is not loaded yet/);
  assert.deepEqual(await gate([{ name: "p", failurePolicy: "Ignore" }], 1).components.hooks(1, attributes("pods")), []);
});

test("what no plugin wants to see, and the Plugin objects themselves, never wait", async () => {
  assert.deepEqual(await gate([], 60_000).components.hooks(1, attributes("pods")), []);
  const { components } = gate([{ name: "p", failurePolicy: "Fail" }], 60_000);
  assert.deepEqual(await components.hooks(1, attributes("plugins", "capstan.dev")), []);
});
