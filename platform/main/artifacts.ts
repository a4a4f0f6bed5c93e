/** What is made from the clone's sources: the wasmtime addon, the components, the console's pages. Each only when its sources changed. */

import { constants, copyFileSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "#platform/base/log.ts";
import { buildPlugins, compilePlugins } from "#plugins/build.ts";
import { buildDescriptions } from "#sdk/api/generate/descriptions.ts";
import { addonReady, buildAddon } from "#sdk/engine/addon.ts";
import { buildConsole } from "#web/build.ts";
import { type Config, type Engine, paths } from "./config.ts";
import { installPackages, isRoot } from "./host.ts";
import { findProgram } from "./run.ts";
import { projectDir } from "./settings.ts";
import { type Step, UserError } from "./steps.ts";

export interface ChosenEngine {
  engine: Engine;
  describe: string;
}

/** Debian's packages of a Rust new enough for wasmtime. */
const CARGO_PACKAGES = ["cargo-web", "rustc-web"];

/** wasmtime where its addon is there or can be built; jco otherwise, with the reason. `wanted` set: that one or an error. */
export async function prepareEngine(wanted: Engine | undefined, dataDir: string, on: Step): Promise<ChosenEngine> {
  if (wanted === "jco") return { engine: "jco", describe: "jco" };
  try {
    if (!addonReady() && !findProgram("cargo")) await installCargo(dataDir, on);
    await buildAddon((line) => on.progress(line.slice(0, 100)));
    return { engine: "wasmtime", describe: "wasmtime" };
  } catch (error) {
    const cause = messageOf(error).split("\n").slice(-3).join(" ");
    const next = `install cargo and rustc 1.95 or newer (Debian: apt-get install ${CARGO_PACKAGES.join(" ")}) and run it again`;
    if (wanted === "wasmtime") throw new UserError(`the wasmtime addon cannot be built: ${cause}`, next);
    return {
      engine: "jco",
      describe: `jco\n  ! slower, and less strict: the wasmtime addon cannot be built: ${cause}\n    ${next}`,
    };
  }
}

async function installCargo(dataDir: string, on: Step): Promise<void> {
  if (!isRoot() || !findProgram("apt-get")) throw new Error("there is no cargo on this machine");
  await installPackages(dataDir, CARGO_PACKAGES, on);
}

/** Built once a clone, whatever number of instances it serves. */
const built = `${projectDir}/plugins/dist`;

/** The first-party components, the console's pages and what `kubectl explain` says, into the clone; answers what was made anew, for the step's line. */
export async function buildArtifacts(engine: Engine, on: Step): Promise<string> {
  const names = await buildPlugins(built, (name) => on.progress(`component ${name}`));
  await compilePlugins(built, engine, (name) => on.progress(`compiling ${name}`));
  on.progress("console");
  const console_ = await buildConsole();
  const descriptions = buildDescriptions();
  return (
    [...names, ...(console_ ? ["console"] : []), ...(descriptions ? ["descriptions"] : [])].join(" ") || "unchanged"
  );
}

/** The same, and what this instance lacks of it into its data directory. */
export async function prepareArtifacts(config: Config, on: Step): Promise<string> {
  const made = await buildArtifacts(config.engine, on);
  copyMissing(built, paths(config.dataDir).components);
  return made;
}

/** Components and compiled code are named by their digests: what is there is the same. Only the index is written each time. */
function copyMissing(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o711 });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyMissing(source, target);
    else if (entry.name === "index.json" || !existsSync(target)) {
      copyFileSync(source, `${target}.new`, constants.COPYFILE_FICLONE);
      renameSync(`${target}.new`, target);
    }
  }
}
