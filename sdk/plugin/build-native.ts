/** Builds guests that are not TypeScript: Go by its stock toolchain, C by clang. Both get bindings made from the contract. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { cBindings } from "./bindings/c.ts";
import { goBindings } from "./bindings/go.ts";
import type { Manifest } from "./manifest.ts";
import { readContract } from "./wit.ts";

export type NativeLanguage = "go" | "c";

/** What has to be installed, and how; for the error where it is not. */
const TOOLS = {
  go: { program: "go", install: "install Go 1.24 or newer (https://go.dev/dl)" },
  c: { program: "clang", install: "install clang and wasm-ld (Debian: apt-get install clang lld)" },
} as const;

/** The core module, the same bytes for the same source. Throws with the compiler's output. */
export async function buildModule(
  dir: string,
  language: NativeLanguage,
  manifest: Manifest,
): Promise<Uint8Array<ArrayBuffer>> {
  writeBindings(dir, language, manifest);
  const scratch = mkdtempSync(join(tmpdir(), "capstan-module-"));
  const out = join(scratch, "plugin.wasm");
  try {
    await (language === "go" ? compileGo(dir, out) : compileC(dir, out));
    return new Uint8Array(readFileSync(out));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The interfaces of hooks that the plugin's worlds have, and those that it may import. */
export function interfacesOf(manifest: Pick<Manifest, "witVersion" | "worlds" | "capabilities">): {
  hooks: string[];
  imports: string[];
} {
  const contract = readContract(manifest.witVersion);
  const worlds = manifest.worlds.flatMap((name) => contract.worlds.get(name) ?? []);
  return {
    hooks: [...new Set(worlds.flatMap((world) => world.exports))],
    imports: [...new Set([...worlds.flatMap((world) => world.imports), ...manifest.capabilities.map((c) => c.name)])],
  };
}

/** capstan/capstan.go or capstan.h in the author's tree, where editors and compilers find them. */
export function writeBindings(dir: string, language: NativeLanguage, manifest: Manifest): void {
  const { hooks, imports } = interfacesOf(manifest);
  const contract = readContract(manifest.witVersion);
  const [path, text] =
    language === "go"
      ? [join(dir, "capstan/capstan.go"), goBindings(contract, hooks, imports)]
      : [join(dir, "capstan.h"), cBindings(contract, hooks, imports)];
  // An unchanged file keeps its age: the compiler's cache and whoever watches the folder count on it.
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function compileGo(dir: string, out: string): Promise<void> {
  const args = [
    "build",
    "-buildmode=c-shared",
    "-trimpath",
    "-buildvcs=false",
    "-ldflags=-s -w -buildid=",
    "-o",
    out,
    ".",
  ];
  // The flags of the person's shell would make other bytes.
  const env = { ...process.env, GOOS: "wasip1", GOARCH: "wasm", GOFLAGS: "-mod=mod", GOWASM: "", CGO_ENABLED: "0" };
  return compile("go", args, dir, env);
}

function compileC(dir: string, out: string): Promise<void> {
  const sources = readdirSync(dir).filter((name) => name.endsWith(".c"));
  const target = [
    "--target=wasm32-unknown-unknown",
    "-std=c17",
    "-Os",
    "-Wall",
    "-nostdlib",
    "-ffreestanding",
    "-fvisibility=hidden",
  ];
  const link = ["-Wl,--no-entry", "-Wl,--strip-all", "-Wl,-z,stack-size=65536"];
  const paths = [`-ffile-prefix-map=${dir}=.`, "-fno-ident"];
  return compile("c", [...target, ...paths, ...link, "-o", out, ...sources.sort()], dir, process.env);
}

function compile(language: NativeLanguage, args: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { program, install } = TOOLS[language];
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        lines.push(text);
        if (lines.length > 200) lines.shift();
      });
    child.on("error", (error: NodeJS.ErrnoException) =>
      reject(new Error(error.code === "ENOENT" ? `there is no ${program} on this machine: ${install}` : error.message)),
    );
    child.on("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}:\n${lines.join("").trim()}`)),
    );
  });
}
