/**
 * Builds a plugin. TypeScript: bundle (esbuild) → component (QuickJS by componentize-qjs); Go and C: their compilers' module → component. The
 * same source gives the same bytes and so the same digest; what was built from the same inputs is taken from the index without building.
 * The tools are loaded when something is built: servers read this module for the index only.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { buildModule, type NativeLanguage } from "./build-native.ts";
import { ADAPTER_SOURCE, componentOf } from "./component.ts";
import { type Manifest, parseManifest, type World } from "./manifest.ts";
import { deterministicRuntime } from "./quickjs-runtime.ts";
import { witFiles } from "./wit.ts";

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

/** What components in TypeScript export beside: the hooks again, made of others. Name in the guest, interface, made by (in texts.ts), of. */
const textExports: Partial<Record<World, { hooks: string; face: string; make: string; of: string }>> = {
  admission: { hooks: "admissionTexts", face: "admission-texts", make: "admissionTexts", of: "admission" },
};
const textsOf = (worlds: readonly World[]) => worlds.flatMap((world) => textExports[world] ?? []);

/** One text with the whole package and a world `component` of what this plugin is and may import. */
export function witText(
  manifest: Pick<Manifest, "witVersion" | "worlds" | "capabilities">,
  language: Language = "ts",
): string {
  const bodies = witFiles(manifest.witVersion);
  const packageLine = bodies[0]?.match(/^package .*;$/m)?.[0] ?? "";
  const includes = manifest.worlds.map((world) => `  include ${world};`);
  const imports = manifest.capabilities.map((capability) => `  import ${capability.name};`);
  const texts = language === "ts" ? textsOf(manifest.worlds).map(({ face }) => `  export ${face};`) : [];
  return [
    packageLine,
    // What is said of an interface is no part of it: a component stays the same when its contract is explained better.
    ...bodies.map((body) => body.replace(/^package .*;$/m, "").replace(/^\s*\/\/\/.*\n/gm, "")),
    `world component {\n${[...includes, ...imports, ...texts].join("\n")}\n}`,
  ].join("\n");
}

/** The module that the component is made of: the prelude, then the plugin's exports under the contract's names. */
function entryText(manifest: Manifest, source: string): string {
  const exports = new Map(manifest.worlds.flatMap((world) => worldExports[world]));
  const names = [...exports].map(([hooks, exported]) => `${exported} as ${hooks}`);
  const from = JSON.stringify(source);
  const made = textsOf(manifest.worlds).flatMap(({ hooks, make, of }) => [
    `import { ${of} as ${make}Of } from ${from};`,
    `import { ${make} as make_${make} } from ${JSON.stringify(join(here, "texts.ts"))};`,
    `export const ${hooks} = make_${make}(${make}Of);`,
  ]);
  const prelude = `import ${JSON.stringify(join(here, "prelude.ts"))};`;
  return [prelude, `export { ${names.join(", ")} } from ${from};`, ...made, ""].join("\n");
}

/** The bundle, and its source map for who reads a stack. */
async function bundle(dir: string, manifest: Manifest): Promise<{ source: string; map: string }> {
  const { build } = await import("esbuild");
  const result = await build({
    stdin: {
      contents: entryText(manifest, resolve(dir, "plugin.ts")),
      resolveDir: dir,
      sourcefile: "entry.ts",
      loader: "ts",
    },
    bundle: true,
    write: false,
    outfile: "plugin.js",
    absWorkingDir: resolve(dir),
    format: "esm",
    target: "es2023",
    platform: "neutral",
    treeShaking: true,
    minify: true,
    keepNames: false,
    legalComments: "none",
    external: ["capstan:*"],
    // What authors outside of this repository import (templates in cli/templates).
    alias: { "@capstan/sdk": resolve(here, "..") },
    sourcemap: "external",
    sourcesContent: false,
    logLevel: "silent",
  });
  const text = (end: string) => result.outputFiles.find(({ path }) => path.endsWith(end))?.text ?? "";
  return { source: text(".js"), map: text(".map") };
}

export const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

export type Language = "ts" | NativeLanguage;

/** By what lies in the folder: plugin.ts, go.mod or plugin.c. */
export function languageOf(dir: string): Language {
  if (existsSync(join(dir, "plugin.ts"))) return "ts";
  if (existsSync(join(dir, "go.mod"))) return "go";
  if (existsSync(join(dir, "plugin.c"))) return "c";
  throw new Error(`${dir} has no plugin.ts, go.mod or plugin.c`);
}

/** Throws where the file is missing or wrong; the message names the field. */
export const readManifest = (dir: string): Manifest =>
  parseManifest(JSON.parse(readFileSync(join(dir, "capstan.plugin.json"), "utf8")));

interface Prepared {
  /** Digest over everything the component is made of. */
  inputs: string;
  /** JSON text, for guests in TypeScript. */
  map?: string;
  component: () => Promise<Buffer>;
}

async function prepare(dir: string, manifest: Manifest, interpreter: Interpreter): Promise<Prepared> {
  const language = languageOf(dir);
  const wit = witText(manifest, language);
  if (language === "ts") {
    const { source, map } = await bundle(dir, manifest);
    if (interpreter === "starlingmonkey") {
      const inputs = sha256(JSON.stringify([starlingVersion(), interpreter, wit, source]));
      return { inputs, map, component: () => componentizeOnStarling(wit, source) };
    }
    const inputs = sha256(JSON.stringify([componentizeVersion, "deterministic", wit, source]));
    return { inputs, map, component: () => componentizeText(wit, source) };
  }
  if (interpreter !== "quickjs") throw new Error(`guests in ${language} have no interpreter`);
  const module = await buildModule(resolve(dir), language, manifest);
  const inputs = sha256(JSON.stringify([ADAPTER_SOURCE, wit, sha256(module)]));
  return { inputs, component: () => componentOf(module, wit) };
}

/**
 * What runs TypeScript inside of the component: QuickJS (1.5 MB, quick calls, the same bytes for the same source), or StarlingMonkey (Firefox's
 * engine: 11 MB, slower calls, for sources that need more of the language's library than QuickJS has; its bytes differ from build to build).
 */
export const INTERPRETERS = ["quickjs", "starlingmonkey"] as const;
export type Interpreter = (typeof INTERPRETERS)[number];

export interface BuildOptions {
  /** For guests in TypeScript. */
  interpreter?: Interpreter;
}

/** Builds `dir` (capstan.plugin.json and the source) into `outDir`. Throws with the compiler's or the componentizer's message. */
export async function buildPlugin(
  dir: string,
  outDir: string,
  { interpreter = "quickjs" }: BuildOptions = {},
): Promise<BuiltPlugin> {
  const manifest = readManifest(dir);
  const prepared = await prepare(dir, manifest, interpreter);
  mkdirSync(outDir, { recursive: true });
  const known = readIndex(outDir).find((entry) => entry.inputs === prepared.inputs);
  if (known) {
    const path = componentPath(outDir, known.digest);
    if (existsSync(path)) {
      writeIndex(outDir, { ...known, name: manifest.name, manifest });
      return { manifest, digest: known.digest, path, bytes: readFileSync(path).length, built: false };
    }
  }
  const component = await prepared.component();
  const digest = `sha256:${sha256(component)}`;
  const path = componentPath(outDir, digest);
  writeWhole(path, component);
  if (prepared.map) writeWhole(`${path}.map`, prepared.map);
  writeIndex(outDir, { name: manifest.name, inputs: prepared.inputs, digest, manifest });
  return { manifest, digest, path, bytes: component.length, built: true };
}

async function componentizeText(wit: string, jsSource: string): Promise<Buffer> {
  const scratch = mkdtempSync(join(tmpdir(), "capstan-plugin-"));
  try {
    const witPath = join(scratch, "plugin.wit");
    writeFileSync(witPath, wit);
    const runtimeBytes = await deterministicRuntime();
    const runtime = runtimeBytes ? { runtimeBytes } : { sync: true };
    const { componentize } = await import("componentize-qjs");
    const { component } = await componentize({ witPath, world: "component", jsSource, stubWasi: true, ...runtime });
    return component;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const starlingVersion = (): string =>
  (
    JSON.parse(
      readFileSync(resolve(here, "../../node_modules/@bytecodealliance/componentize-js/package.json"), "utf8"),
    ) as { version: string }
  ).version;

async function componentizeOnStarling(wit: string, source: string): Promise<Buffer> {
  const { componentize } = await import("@bytecodealliance/componentize-js");
  // Here an interface is a module with its functions, there one with a default export that has them.
  const named = source.replace(/import\s*([\w$]+)\s*from\s*"capstan:/g, 'import*as $1 from"capstan:');
  // Source and WIT as texts: then there is no path to the source, which the type asks for all the same.
  const options = {
    worldName: "component",
    disableFeatures: ["stdio", "random", "clocks", "http", "fetch-event"],
  } as Parameters<typeof componentize>[2];
  const { component } = await componentize(named, wit, options);
  return Buffer.from(component);
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
