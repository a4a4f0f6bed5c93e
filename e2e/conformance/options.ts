/** The runner's command line. */
import { existsSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  mustPassBeyondFile,
  mustPassFile,
  namesOfSig,
  readNames,
  sigs,
  tenantExceptionsFile,
  twoNodesFile,
} from "./names.ts";

export const help = `usage: npm run conformance -- WHAT [options]
runs tests of the unmodified conformance suite of Kubernetes against Capstan and writes a report
what:
  --sig NAME        the listed tests of a SIG, repeatable: ${sigs().join(", ")}
  --open            the listed tests of all SIGs
  --must-pass       the tests that passed before, those beyond conformance too
  --list FILE       the tests named in a file, one a line
  --focus REGEX     whatever of the suite the expression finds
  --image NAME      runs nothing: writes one of the suite's images (agnhost, busybox …) to --out FILE
  --build           runs nothing: builds the suite and its images
options:
  --tenant          in a tenant of its own instead of root, without the tests that tenant-exceptions.txt names
  --nodes N         of the Capstan that the run starts (default 1, or 2 where a named test needs them)
  --processes N     Ginkgo processes at once (default 4)
  --kubeconfig FILE an API that runs already, whose nodes have the images; default: a Capstan of the run's own, wiped at the end
  --data-dir PATH   a Capstan that runs already: its kubeconfig, and the images are loaded into its nodes
  --minutes N       limit of the whole run (default 100)
  --build-dir PATH  binaries and images, kept for the next run (default: ~/.cache/capstan/conformance)
  --report PATH     folder of report.md, report.json and the suite's output (default: a new one in the temporary directory)`;

export interface Options {
  /** Names to run; undefined with `focus`. */
  names?: string[];
  focus?: string;
  image?: string;
  out: string;
  tenant: boolean;
  buildOnly: boolean;
  nodes: number;
  processes: number;
  kubeconfig?: string;
  dataDir?: string;
  minutes: number;
  buildDir: string;
  report: string;
}

/** Thrown with what the user must be told. */
export class UsageError extends Error {}

const spec = {
  sig: { type: "string", multiple: true },
  open: { type: "boolean" },
  "must-pass": { type: "boolean" },
  list: { type: "string", multiple: true },
  focus: { type: "string" },
  image: { type: "string" },
  out: { type: "string" },
  build: { type: "boolean" },
  tenant: { type: "boolean" },
  nodes: { type: "string" },
  processes: { type: "string" },
  kubeconfig: { type: "string" },
  "data-dir": { type: "string" },
  minutes: { type: "string" },
  "build-dir": { type: "string" },
  report: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

function count(name: string, text: string | undefined, byDefault: number, max: number): number {
  const value = text === undefined ? byDefault : Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new UsageError(`--${name} takes a whole number from 1 to ${max}, not "${text}"`);
  return value;
}

function file(name: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  if (!existsSync(path)) throw new UsageError(`--${name}: there is no ${path}`);
  return resolve(path);
}

export const defaultBuildDir = (): string =>
  process.env["CAPSTAN_CONFORMANCE_DIR"] ??
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "capstan", "conformance");

/** Undefined when help was asked for. Throws UsageError, and what parseArgs throws. */
export function parseOptions(argv: string[]): Options | undefined {
  const { values } = parseArgs({ args: argv, options: spec });
  if (values.help) return undefined;
  const names = new Set<string>();
  for (const sig of values.open ? sigs() : (values.sig ?? [])) {
    if (!sigs().includes(sig)) throw new UsageError(`--sig: there is no list for "${sig}", only ${sigs().join(", ")}`);
    for (const name of namesOfSig(sig)) names.add(name);
  }
  for (const list of values.list ?? []) for (const name of readNames(file("list", list) ?? "")) names.add(name);
  if (values["must-pass"]) for (const name of [mustPassFile, mustPassBeyondFile].flatMap(readNames)) names.add(name);
  if (values.tenant && values.kubeconfig)
    throw new UsageError("--tenant makes its tenant with --data-dir, or in a Capstan of its own");
  if (values.tenant) for (const name of readNames(tenantExceptionsFile)) names.delete(name);
  const named = values.sig || values.open || values.list || values["must-pass"];
  if (named && values.focus) throw new UsageError("--focus goes alone: it says itself which tests are meant");
  if (!named && !values.focus && !values.image && !values.build) throw new UsageError("say what to run");
  if (named && names.size === 0) throw new UsageError("the lists name no test");
  if (values.image && !values.out) throw new UsageError("--image needs --out FILE");
  return {
    ...(named ? { names: [...names] } : {}),
    ...(values.focus !== undefined ? { focus: values.focus } : {}),
    ...(values.image !== undefined ? { image: values.image } : {}),
    out: resolve(values.out ?? "."),
    buildOnly: values.build === true,
    tenant: values.tenant === true,
    nodes: count("nodes", values.nodes, readNames(twoNodesFile).some((name) => names.has(name)) ? 2 : 1, 16),
    processes: count("processes", values.processes, 4, 64),
    ...(values.kubeconfig !== undefined ? { kubeconfig: file("kubeconfig", values.kubeconfig) ?? "" } : {}),
    ...(values["data-dir"] !== undefined ? { dataDir: file("data-dir", values["data-dir"]) ?? "" } : {}),
    minutes: count("minutes", values.minutes, 100, 24 * 60),
    buildDir: resolve(values["build-dir"] ?? defaultBuildDir()),
    report: resolve(values.report ?? join(tmpdir(), `capstan-conformance-${process.pid}`)),
  };
}
