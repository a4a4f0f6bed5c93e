/** Starts the process of a container (sdk/engine/wasi/main.ts), which outlives the agent. */
import { spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
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
  /** Files of the pod's own that stand in place of the machine's, for the process alone: /etc/resolv.conf, /etc/hosts. Only with `netns`. */
  files?: { at: string; from: string }[];
  ended(code: number | null, signal: NodeJS.Signals | null): void;
}

/** Only who is asked, or may ask, gets a network. */
function needsNetwork({ component, egress }: GuestSpec): boolean {
  if (!("folder" in component)) return false;
  const script = readFileSync(join(component.folder, "component.js"), "utf8");
  return (
    script.includes("wasi:http/incoming-handler") || (egress && /wasi:(http\/outgoing-handler|sockets\/)/.test(script))
  );
}

/** Before the program, in the namespace: the files in place of the machine's, in a view of the file system that nobody else has. */
function withFiles(files: { at: string; from: string }[]): string[] {
  if (files.length === 0) return [];
  const script = [
    ...files.map((_, i) => `mount --bind "$${2 * i + 1}" "$${2 * i + 2}"`),
    `shift ${2 * files.length}`,
    'exec "$@"',
  ];
  return [
    "unshare",
    "--mount",
    "--",
    "sh",
    "-ec",
    script.join("\n"),
    "sh",
    ...files.flatMap(({ at, from }) => [from, at]),
  ];
}

/** The authority that signs for the pod's own API server, where it has a service account: trusted beside the public ones. */
function trusted({ mounts }: GuestSpec): Record<string, string> {
  const account = mounts.find(({ guest }) => guest === "/var/run/secrets/kubernetes.io/serviceaccount");
  const file = account && join(account.host, "ca.crt");
  return file && existsSync(file) ? { NODE_EXTRA_CA_CERTS: file } : {};
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
    ...(needsNetwork(spec) ? ["--allow-net"] : []),
  ];
}

/** Rejects where the process cannot be started at all. */
export async function launch({ spec, specFile, outputFile, netns, files = [], ended }: Launch): Promise<Identity> {
  writeWhole(specFile, JSON.stringify(spec));
  const command = [
    ...(netns === undefined ? [] : ["nsenter", `--net=${netns}`, "--", ...withFiles(files)]),
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
    env: spec.egress ? trusted(spec) : {},
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
