import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { witText } from "./build.ts";
import { parseManifest } from "./manifest.ts";

const least = { name: "p", version: "1.0.0", witVersion: "v1", worlds: ["filter"] };

test("a manifest needs little, and what is left out has a bounded default", () => {
  const manifest = parseManifest(least);
  assert.deepEqual([manifest.limits.memoryMiB, manifest.limits.deadlineMs, manifest.limits.instances], [64, 1000, 1]);
  assert.deepEqual([manifest.capabilities, manifest.failurePolicy], [[], "Fail"]);
});

test("a manifest that is wrong says where", () => {
  const wrong: [object, RegExp][] = [
    [{ name: "No" }, /name/],
    [{ worlds: ["sing"] }, /worlds/],
    [{ capabilities: [{ name: "everything", reason: "r" }] }, /capabilities/],
    [{ capabilities: [{ name: "api" }] }, /reason/],
    [{ limits: { memoryMiB: 100_000 } }, /memoryMiB/],
  ];
  for (const [change, where] of wrong) assert.throws(() => parseManifest({ ...least, ...change }), where);
});

test("every first-party manifest is one", () => {
  const plugins = join(import.meta.dirname, "../../plugins");
  for (const entry of readdirSync(plugins, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === "dist") continue;
    const manifest = parseManifest(JSON.parse(readFileSync(join(plugins, entry.name, "capstan.plugin.json"), "utf8")));
    assert.equal(manifest.name, entry.name);
  }
});

test("the world of a component is its worlds and what it was granted", () => {
  const capabilities = [{ name: "api" as const, reason: "r", access: "read" as const }];
  const text = witText({ witVersion: "v1", worlds: ["filter", "score"], capabilities });
  assert.match(text, /world component \{\n {2}include filter;\n {2}include score;\n {2}import api;\n\}/);
  assert.equal(text.match(/^package /gm)?.length, 1);
});
