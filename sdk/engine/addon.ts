/** The wasmtime addon: where it is, whether it is there, and how it is built (cargo, about four minutes on two cores). */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const crate = join(import.meta.dirname, "wasmtime");
const addonPath = join(crate, "capstan-wasmtime.node");
const sourcePath = join(crate, "target/capstan-wasmtime.source");

export type Line = [level: string, message: string];

/** A call's answer: ["ok" | "err" | "invalid" | "trap" | "deadline" | "memory" | "fuel" | "size", value, microseconds, memory bytes, fuel, lines]. */
export type NativeAnswer = [
  tag: string,
  value: unknown,
  micros: number,
  memoryBytes: number,
  fuel: number,
  lines: Line[] | undefined,
];

export interface NativeOptions {
  memoryBytesMax: number;
  crossingBytesMax: number;
  deadlineMs: number;
  rests: boolean;
  own?: { config: string; facts: string };
}

export const PURE_TAGS = ["ok", "err", "invalid", "trap", "deadline", "memory", "fuel", "size"] as const;

export interface NativeInstance {
  call(
    interfaceName: string,
    functionName: string,
    args: unknown[],
    deadlineMs: number,
    fuelMax?: number,
  ): Promise<NativeAnswer>;
  discard(): Promise<void>;
}

/** Entered on this thread. */
export interface NativePureInstance {
  /** The number by which `call` knows an exported function; throws where there is none. */
  find(interfaceName: string, functionName: string): number;
  /** The value, or the message of what went wrong: the shared `outcome` tells which. */
  call(exported: number, args: unknown[], deadlineMs: number, runningMsMax?: number, fuelMax?: number): unknown;
  /** What the guest logged since this was asked last. */
  lines(): Line[] | undefined;
  discard(): void;
}

export interface NativeComponent {
  readonly cached: boolean;
  readonly pooled: boolean;
  /** The interfaces it exports. */
  readonly exports: string[];
  instantiate(
    options: NativeOptions,
    host: (interfaceName: string, functionName: string, args: unknown[]) => Promise<{ tag: string; val?: unknown }>,
  ): Promise<NativeInstance>;
  /** Each call writes to `outcome`: the number of its tag in PURE_TAGS, microseconds, memory bytes, how many lines it logged, fuel. */
  instantiatePure(options: NativeOptions, outcome: Float64Array): NativePureInstance;
}

export interface Addon {
  load(bytes: Buffer, digest: string, cacheDir: string, prefixes: string[], fuel: boolean): Promise<NativeComponent>;
}

/** Over everything the addon is made of. */
function sourceDigest(): string {
  const hash = createHash("sha256");
  const sources = readdirSync(join(crate, "src")).sort();
  for (const file of ["Cargo.toml", "Cargo.lock", "build.rs", ...sources.map((name) => join("src", name))]) {
    hash.update(file).update(readFileSync(join(crate, file)));
  }
  return hash.digest("hex");
}

/** The addon is there and made of the present source. */
export const addonReady = (): boolean =>
  existsSync(addonPath) && existsSync(sourcePath) && readFileSync(sourcePath, "utf8") === sourceDigest();

/**
 * Builds the addon unless it is ready. `progress` receives cargo's lines. Rejects with cargo's last lines, or with
 * ENOENT's message where there is no cargo.
 */
export async function buildAddon(progress: (line: string) => void = () => undefined): Promise<void> {
  if (addonReady()) return;
  const digest = sourceDigest();
  await cargo(progress);
  const library = process.platform === "darwin" ? "libcapstan_wasmtime.dylib" : "libcapstan_wasmtime.so";
  const beside = `${addonPath}.${process.pid}.tmp`;
  copyFileSync(join(crate, "target/release", library), beside);
  renameSync(beside, addonPath);
  writeFileSync(sourcePath, digest);
}

function cargo(progress: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("cargo", ["build", "--release", "--locked"], {
      cwd: crate,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const last: string[] = [];
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.split("\n").filter(Boolean)) {
        progress(line.trim());
        last.push(line);
        if (last.length > 20) last.shift();
      }
    });
    child.on("error", (error) => reject(new Error(`cargo could not be started: ${error.message}`)));
    child.on("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`cargo build ended with ${code}:\n${last.join("\n")}`)),
    );
  });
}

/** Throws when the addon is absent. */
export function loadAddon(): Addon {
  if (!existsSync(addonPath))
    throw new Error("the wasmtime addon is not built: run `npm run up`, or use the engine jco");
  return createRequire(import.meta.url)(addonPath) as Addon;
}
