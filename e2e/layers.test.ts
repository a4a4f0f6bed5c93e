/** Holds the table of platform/ARCHITECTURE.md: who may import whom. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

const root = resolve(import.meta.dirname, "..");

/** Longest prefix wins. A layer may always import itself. `*` is everything. */
const layers: Record<string, readonly string[]> = {
  "sdk/api": [],
  "sdk/client": ["sdk"],
  "sdk/plugin": ["sdk"],
  "sdk/engine": ["sdk"],
  "sdk/testing": ["sdk"],
  "sdk/cli": ["sdk"],
  "sdk/distribution": ["sdk"],
  "sdk/pod": ["sdk"],
  "sdk/wit": [],
  db: [],
  "platform/base": [],
  "platform/rules": ["platform/base", "sdk/api"],
  "platform/store": ["platform/base", "sdk/api"],
  "platform/store/postgres": ["platform/store", "platform/base", "sdk/api", "db"],
  "platform/store/cache": ["platform/store", "platform/base", "sdk/api"],
  "platform/apiserver/registry": [
    "platform/store",
    "platform/rules",
    "platform/base",
    "sdk/api",
    "platform/apiserver/apply",
  ],
  "platform/apiserver/apply": ["platform/rules", "platform/base", "sdk/api"],
  "platform/apiserver": ["platform/store", "platform/rules", "platform/base", "sdk/api"],
  "platform/plugin-host": ["platform/base", "sdk"],
  "platform/scheduler": ["platform/base", "platform/rules", "sdk"],
  "platform/controllers": ["platform/base", "platform/rules", "sdk"],
  "platform/node": ["platform/base", "platform/rules", "sdk"],
  "platform/network": ["platform/base", "platform/rules", "sdk"],
  "platform/main": ["*"],
  plugins: ["sdk"],
  "web/server": ["sdk"],
  "web/console": ["web/server"],
  web: ["sdk"],
  e2e: ["*"],
};

const aliases: Record<string, string> = {
  "#db/": "db/",
  "#sdk/": "sdk/",
  "#platform/": "platform/",
  "#plugins/": "plugins/",
  "#web/": "web/",
};

function sources(dir: string): string[] {
  return readdirSync(join(root, dir)).flatMap((name) => {
    if (name === "node_modules" || name === "dist" || name === "target" || name === "generated") return [];
    const path = join(dir, name);
    if (statSync(join(root, path)).isDirectory()) return sources(path);
    return /\.tsx?$/.test(name) ? [path] : [];
  });
}

const layerOf = (file: string): string | undefined =>
  Object.keys(layers)
    .filter((layer) => file === layer || file.startsWith(`${layer}/`))
    .sort((a, b) => b.length - a.length)[0];

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const found = [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((m) => m[1] ?? "");
  return found.flatMap((specifier) => {
    if (specifier.startsWith(".")) return [relative(root, resolve(root, dirname(file), specifier))];
    const alias = Object.keys(aliases).find((prefix) => specifier.startsWith(prefix));
    return alias ? [specifier.replace(alias, aliases[alias] ?? "")] : [];
  });
}

function violation(file: string, target: string): string | undefined {
  const from = layerOf(file);
  const to = layerOf(target);
  if (from === undefined)
    return `${file} is in no layer: add its folder to the table in e2e/layers.test.ts and platform/ARCHITECTURE.md`;
  if (to === undefined || to === from || to.startsWith(`${from}/`) || from === "e2e") return undefined;
  if (to === "platform/main")
    return `${file} imports ${target}: nobody imports platform/main; pass what you need as a parameter`;
  // The rooms of the API server are one floor; the registry and apply below them know none of the others.
  if (from.startsWith("platform/apiserver") && from === "platform/apiserver" && to.startsWith("platform/apiserver"))
    return undefined;
  const allowed = layers[from] ?? [];
  if (allowed.some((layer) => layer === "*" || to === layer || to.startsWith(`${layer}/`))) return undefined;
  const isTest = /\.test\.ts$/.test(file);
  if (isTest && to === "sdk/testing") return undefined;
  if (
    isTest &&
    (from.startsWith("platform/store") || from === "platform/apiserver") &&
    (to === "db" || to.startsWith("platform/store"))
  )
    return undefined;
  return `${file} (layer ${from}) imports ${target} (layer ${to}), which is not in its list [${allowed.join(", ")}]: declare a port in ${from} and let platform/main wire it`;
}

test("imports follow the layer table of platform/ARCHITECTURE.md", () => {
  const files = ["db", "sdk", "platform", "plugins", "web", "e2e"].flatMap(sources);
  const violations = files.flatMap((file) => importsOf(file).map((target) => violation(file, target))).filter(Boolean);
  assert.deepEqual(violations, []);
});
