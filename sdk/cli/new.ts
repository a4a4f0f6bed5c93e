/** `capstan plugin new`: a plugin's folder from a template that builds, tests and installs as it is. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Language } from "../plugin/build.ts";
import { readManifest } from "../plugin/build.ts";
import { writeBindings } from "../plugin/build-native.ts";
import { WORLDS, type World } from "../plugin/manifest.ts";

const templates = join(import.meta.dirname, "templates");
const sdk = resolve(import.meta.dirname, "..");

/** The worlds that a language has a template for. */
export const worldsOf = (language: Language): World[] =>
  WORLDS.filter((world) => existsSync(join(templates, language, world)));

const TSCONFIG = {
  compilerOptions: {
    target: "esnext",
    lib: ["esnext"],
    module: "nodenext",
    noEmit: true,
    strict: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    types: [],
  },
  include: ["*.ts", "node_modules/@capstan/sdk/plugin/contract.d.ts"],
};

/** Throws where the folder has something already, or the language no template for the world. */
export function newPlugin(dir: string, name: string, world: World, language: Language): void {
  if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name) || name.length > 63)
    throw new Error(`a plugin's name is lower case letters, digits and dashes, at most 63: not "${name}"`);
  if (!worldsOf(language).includes(world))
    throw new Error(`there is no template for ${world} in ${language} (there are: ${worldsOf(language).join(", ")})`);
  if (existsSync(dir) && readdirSync(dir).length > 0) throw new Error(`${dir} is not empty`);
  mkdirSync(dir, { recursive: true });
  for (const from of [join(templates, "worlds", world), join(templates, language, world)]) {
    cpSync(from, dir, { recursive: true });
  }
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const text = readFileSync(path, "utf8").replaceAll("NAME", name).replaceAll('"#sdk/', '"@capstan/sdk/');
    writeFileSync(path, text);
  }
  writeFileSync(join(dir, ".gitignore"), "dist/\nnode_modules/\n");
  if (language !== "ts") {
    writeBindings(dir, language, readManifest(dir));
    return;
  }
  writeFileSync(join(dir, "package.json"), `${JSON.stringify({ name, private: true, type: "module" }, null, 2)}\n`);
  writeFileSync(join(dir, "tsconfig.json"), `${JSON.stringify(TSCONFIG, null, 2)}\n`);
  linkSdk(dir);
}

/** Where editors and `node --test` find what plugins import. */
function linkSdk(dir: string): void {
  const scope = join(dir, "node_modules/@capstan");
  mkdirSync(scope, { recursive: true });
  symlinkSync(sdk, join(scope, "sdk"));
}
