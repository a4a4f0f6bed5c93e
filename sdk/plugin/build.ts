/**
 * Builds a TypeScript plugin: bundle (esbuild) → component (QuickJS by componentize-qjs). The same source gives the same
 * bytes and so the same digest; what was built from the same inputs is taken from the index without building.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { componentize } from "componentize-qjs";
import { build } from "esbuild";
import { type Manifest, parseManifest, type World } from "./manifest.ts";

export interface BuiltPlugin {
  manifest: Manifest;
  /** "sha256:HEX" */
  digest: string;
  /** OUT/sha256-HEX.wasm */
  path: string;
  bytes: number;
  /** False when nothing had changed since it was last built. */
  built: boolean;
}

interface IndexEntry {
  name: string;
  /** Digest over everything the component was made of. */
  inputs: string;
  digest: string;
  manifest: Manifest;
}

const here = import.meta.dirname;
const witRoot = resolve(here, "../wit");
const componentizeVersion = (
  JSON.parse(readFileSync(resolve(here, "../../node_modules/componentize-qjs/package.json"), "utf8")) as {
    version: string;
  }
).version;

/** What a world's component exports: interface name in the guest, and what `plugin.ts` exports it as. */
const worldExports: Record<World, [hooks: string, exported: string][]> = {
  filter: [
    ["nodeHooks", "nodes"],
    ["filterHooks", "filter"],
  ],
  score: [
    ["nodeHooks", "nodes"],
    ["scoreHooks", "score"],
  ],
  admission: [["admissionHooks", "admission"]],
  authorizer: [["authorizerHooks", "authorizer"]],
  authenticator: [["authenticatorHooks", "authenticator"]],
  controller: [["controllerHooks", "controller"]],
  runtime: [["runtimeHooks", "runtime"]],
  network: [["networkHooks", "network"]],
  permit: [["permitHooks", "permit"]],
  offers: [["offerHooks", "offers"]],
  volume: [
    ["volumeHooks", "volume"],
    ["volumeControllerHooks", "volumeController"],
    ["volumeNodeHooks", "volumeNode"],
  ],
  device: [["deviceHooks", "device"]],
  proxy: [["proxyHooks", "proxy"]],
  panel: [["panelHooks", "panel"]],
};

/** One text with the whole package and a world `component` of what this plugin is and may import. */
export function witText(manifest: Pick<Manifest, "witVersion" | "worlds" | "capabilities">): string {
  const folder = join(witRoot, manifest.witVersion);
  const files = readdirSync(folder).filter((name) => name.endsWith(".wit"));
  const bodies = files.sort().map((name) => readFileSync(join(folder, name), "utf8"));
  const packageLine = bodies[0]?.match(/^package .*;$/m)?.[0] ?? "";
  const includes = manifest.worlds.map((world) => `  include ${world};`);
  const imports = manifest.capabilities.map((capability) => `  import ${capability.name};`);
  return [
    packageLine,
    ...bodies.map((body) => body.replace(/^package .*;$/m, "")),
    `world component {\n${[...includes, ...imports].join("\n")}\n}`,
  ].join("\n");
}

/** The module that the component is made of: the prelude, then the plugin's exports under the contract's names. */
function entryText(manifest: Manifest, source: string): string {
  const exports = new Map(manifest.worlds.flatMap((world) => worldExports[world]));
  const names = [...exports].map(([hooks, exported]) => `${exported} as ${hooks}`);
  return `import ${JSON.stringify(join(here, "prelude.ts"))};\nexport { ${names.join(", ")} } from ${JSON.stringify(source)};\n`;
}

async function bundle(dir: string, manifest: Manifest): Promise<string> {
  const result = await build({
    stdin: { contents: entryText(manifest, resolve(dir, "plugin.ts")), resolveDir: dir, loader: "ts" },
    bundle: true,
    write: false,
    format: "esm",
    target: "es2023",
    platform: "neutral",
    treeShaking: true,
    minify: true,
    keepNames: false,
    legalComments: "none",
    external: ["capstan:*"],
    logLevel: "silent",
  });
  return result.outputFiles[0]?.text ?? "";
}

export const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

/** Builds `dir` (capstan.plugin.json, plugin.ts) into `outDir`. Throws with esbuild's or the componentizer's message. */
export async function buildPlugin(dir: string, outDir: string): Promise<BuiltPlugin> {
  const manifest = parseManifest(JSON.parse(readFileSync(join(dir, "capstan.plugin.json"), "utf8")));
  const source = await bundle(dir, manifest);
  const wit = witText(manifest);
  const inputs = sha256(JSON.stringify([componentizeVersion, wit, source]));
  mkdirSync(outDir, { recursive: true });
  const known = readIndex(outDir).find((entry) => entry.inputs === inputs);
  if (known) {
    const path = componentPath(outDir, known.digest);
    if (existsSync(path)) {
      writeIndex(outDir, { ...known, name: manifest.name, manifest });
      return { manifest, digest: known.digest, path, bytes: readFileSync(path).length, built: false };
    }
  }
  const component = await componentizeText(wit, source);
  const digest = `sha256:${sha256(component)}`;
  const path = componentPath(outDir, digest);
  writeWhole(path, component);
  writeIndex(outDir, { name: manifest.name, inputs, digest, manifest });
  return { manifest, digest, path, bytes: component.length, built: true };
}

async function componentizeText(wit: string, jsSource: string): Promise<Buffer> {
  const scratch = mkdtempSync(join(tmpdir(), "capstan-plugin-"));
  try {
    const witPath = join(scratch, "plugin.wit");
    writeFileSync(witPath, wit);
    const { component } = await componentize({ witPath, world: "component", jsSource, sync: true, stubWasi: true });
    return component;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Where the component with this digest ("sha256:HEX") is kept. */
export const componentPath = (dir: string, digest: string): string => join(dir, `${digest.replace(":", "-")}.wasm`);

export function readIndex(dir: string): IndexEntry[] {
  const path = join(dir, "index.json");
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as IndexEntry[]) : [];
}

function writeIndex(dir: string, entry: IndexEntry): void {
  const others = readIndex(dir).filter((other) => other.name !== entry.name);
  const entries = [...others, entry].sort((a, b) => a.name.localeCompare(b.name));
  writeWhole(join(dir, "index.json"), `${JSON.stringify(entries, null, 1)}\n`);
}

function writeWhole(path: string, data: string | Uint8Array): void {
  const beside = `${path}.${process.pid}.tmp`;
  writeFileSync(beside, data);
  renameSync(beside, path);
}
