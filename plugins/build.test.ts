import assert from "node:assert/strict";
import { test } from "node:test";
import type { Plugin } from "#sdk/plugin/manifest.ts";
import { upgraded } from "./build.ts";

const digest = `sha256:${"0".repeat(64)}`;
const plugin = (version: string, config: Record<string, unknown>, more: Partial<Plugin["spec"]> = {}): Plugin => ({
  apiVersion: "capstan.dev/v1",
  kind: "Plugin",
  metadata: { name: "p", annotations: { "capstan.dev/installed-config": JSON.stringify(config) } },
  spec: { version, witVersion: "v1", worlds: ["filter"], digest, config, enabled: true, ...more },
});

test("an upgrade keeps what its owner decided: enabled, and a changed configuration", () => {
  const present = plugin("1.0.0", { a: 1 }, { enabled: false, config: { a: 2 } });
  const next = upgraded(present, plugin("1.1.0", { a: 1, b: 1 }));
  assert.deepEqual([next.spec.version, next.spec.enabled, next.spec.config], ["1.1.0", false, { a: 2 }]);
});

test("an upgrade replaces a configuration that nobody changed", () => {
  const next = upgraded(plugin("1.0.0", { a: 1 }), plugin("1.1.0", { a: 1, b: 1 }));
  assert.deepEqual(next.spec.config, { a: 1, b: 1 });
});

test("an option of the server switches a plugin, and leaves it to its default when it is gone", () => {
  const off = plugin("1.0.0", {}, { enabled: false });
  const switched = upgraded(off, off, true);
  assert.equal(switched.spec.enabled, true);
  assert.equal(upgraded(switched, off).spec.enabled, false);
  assert.equal(upgraded(plugin("1.0.0", {}), off).spec.enabled, true, "the owner's own choice stays");
});
