/** Starts the process of a container (sdk/engine/wasi/main.ts), which outlives the agent. */
import { spawn } from "node:child_process";
import { closeSync, lstatSync, openSync, readFileSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { GuestSpec } from "#sdk/engine/wasi/spec.ts";
import { writeWhole } from "./files.ts";
import { type Identity, identityOf } from "./process.ts";

const project = resolve(import.meta.dirname, "../../..");
const program = join(project, "sdk/engine/wasi/main.ts");
/** For what the interface to the guest needs; the guest's own memory is not in V8's heap. */
const HEAP_MIB_MAX = 192;
const LINKS_MAX = 10;

export interface Launch {
  spec: GuestSpec;
  specFile: string;
  /** What Node itself says: nothing, as a rule. */
  outputFile: string;
  /** Entered before anything else. */
  netns?: string;
  ended(code: number | null, signal: NodeJS.Signals | null): void;
}

/** Only who is asked gets a network. */
function answersHttp({ component }: GuestSpec): boolean {
  return (
    "folder" in component && readFileSync(join(component.folder, "component.js")).includes("wasi:http/incoming-handler")
  );
}

/** A path and what it is a link to: packages may be another clone's. */
function linked(path: string): string[] {
  const paths = [path];
  for (let at = path; lstatSync(at).isSymbolicLink() && paths.length < LINKS_MAX; ) {
    at = resolve(dirname(at), readlinkSync(at));
    paths.push(at);
  }
  return [...new Set([...paths, realpathSync(path)])];
}

/** What Node leaves to the process: its own code, the component, its log and its volumes. */
function permissions(spec: GuestSpec, specFile: string): string[] {
  const { component, mounts, log, exitFile } = spec;
  const own = "folder" in component ? component.folder : component.module;
  const below = (path: string) => (statSync(path).isDirectory() ? join(path, "*") : path);
  const read = linked(join(project, "node_modules")).map((path) => join(path, "*"));
  read.push(join(project, "sdk", "*"), join(project, "package.json"));
  read.push(below(own), specFile, ...mounts.map(({ host }) => below(host)));
  const write = [
    join(dirname(log), "*"),
    join(dirname(exitFile), "*"),
    ...mounts.filter(({ readonly }) => !readonly).map(({ host }) => below(host)),
  ];
  return [
    "--permission",
    ...read.concat(write).map((path) => `--allow-fs-read=${path}`),
    ...write.map((path) => `--allow-fs-write=${path}`),
    ...("module" in component ? ["--allow-wasi"] : ["--allow-worker"]),
    ...(answersHttp(spec) ? ["--allow-net"] : []),
  ];
}

/** Rejects where the process cannot be started at all. */
export async function launch({ spec, specFile, outputFile, netns, ended }: Launch): Promise<Identity> {
  writeWhole(specFile, JSON.stringify(spec));
  const command = [
    ...(netns === undefined ? [] : ["nsenter", `--net=${netns}`, "--"]),
    process.execPath,
    "--no-warnings",
    `--max-old-space-size=${HEAP_MIB_MAX}`,
    ...permissions(spec, specFile),
    program,
    specFile,
  ];
  const output = openSync(outputFile, "a", 0o600);
  const child = spawn(command[0] ?? "", command.slice(1), {
    cwd: dirname(specFile),
    env: {},
    stdio: ["ignore", output, output],
    detached: true,
  });
  closeSync(output);
  child.on("exit", ended);
  child.unref();
  await new Promise<void>((done, fail) => {
    child.once("spawn", done);
    child.once("error", fail);
  });
  // A process that has ended already is told by its exit.
  return identityOf(child.pid ?? 0) ?? { pid: child.pid ?? 0, startTime: "" };
}
