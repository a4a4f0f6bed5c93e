/**
 * Makes a pod's component from a folder: pod.ts (TypeScript, on the interpreter that plugins in TypeScript have) or go.mod (Go's own toolchain,
 * a core module of WASI preview 1). The same source gives the same bytes.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { deterministicRuntime } from "../plugin/quickjs-runtime.ts";

const here = import.meta.dirname;
const WASI_VERSION = "0.2.12";

/** What a pod in TypeScript may import; an HTTP server also has wasi:http/types. */
const IMPORTS = [
  "cli/environment",
  "cli/exit",
  "cli/stdout",
  "cli/stderr",
  "clocks/wall-clock",
  "clocks/monotonic-clock",
  "filesystem/preopens",
  "filesystem/types",
  "io/streams",
  "random/random",
];

/** Only of a pod that uses it (request.ts): a component imports nothing that it does not need. */
const OUTGOING = "http/outgoing-handler";
/** The same (sockets.ts). */
const SOCKETS = ["network", "instance-network", "ip-name-lookup", "tcp", "tcp-create-socket"].map(
  (name) => `sockets/${name}`,
);
const CREATES_SOCKETS = "sockets/tcp-create-socket";

/** By what pod.ts exports. */
const EXPORTS = { incomingHandler: "http/incoming-handler", run: "cli/run" } as const;

/**
 * The interpreter is run once at build time, with a WASI of the builder's own that does not fit resources of wasi:http: until then the pod's
 * interfaces have another name of the same length, and the interpreter's own imports, which are stubs by then, one that is nobody's.
 */
const MEANWHILE = "wasx:";
const NOBODYS = "wasz:";

/** The component or module. Throws with the compiler's message. */
export async function buildPod(dir: string): Promise<Uint8Array> {
  if (existsSync(join(dir, "pod.ts"))) return await buildTypeScript(dir);
  if (existsSync(join(dir, "go.mod"))) return await buildGo(dir);
  throw new Error(`${dir} has no pod.ts or go.mod`);
}

async function buildTypeScript(dir: string): Promise<Uint8Array> {
  const source = await bundle(dir);
  const exported = (Object.keys(EXPORTS) as (keyof typeof EXPORTS)[]).find((name) =>
    new RegExp(`\\bas ${name}\\b|\\b${name}\\b\\s*[,}]`).test(source.slice(source.lastIndexOf("export"))),
  );
  if (!exported) throw new Error(`${join(dir, "pod.ts")} exports neither incomingHandler nor run`);
  const scratch = mkdtempSync(join(tmpdir(), "capstan-pod-"));
  try {
    writeWit(scratch, exported, source);
    const runtimeBytes = await deterministicRuntime();
    const { componentize } = await import("componentize-qjs");
    const { component } = await componentize({
      witPath: scratch,
      world: "pod",
      jsSource: source.replace(/(from\s*|import\s*)"wasi:/g, `$1"${MEANWHILE}`),
      stubWasi: true,
      ...(runtimeBytes ? { runtimeBytes } : { sync: true }),
    });
    return renamed(renamed(component, "wasi:", NOBODYS), MEANWHILE, "wasi:");
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Names of one length: nothing moves. */
function renamed(bytes: Buffer, from: string, to: string): Buffer {
  const changed = Buffer.from(bytes);
  for (let at = changed.indexOf(from); at >= 0; at = changed.indexOf(from, at + to.length))
    changed.write(to, at, "latin1");
  return changed;
}

async function bundle(dir: string): Promise<string> {
  const { build } = await import("esbuild");
  const pod = JSON.stringify(resolve(dir, "pod.ts"));
  const result = await build({
    stdin: {
      contents: `import ${JSON.stringify(join(here, "prelude.ts"))};\nexport * from ${pod};\n`,
      resolveDir: resolve(dir),
      sourcefile: "entry.ts",
      loader: "ts",
    },
    bundle: true,
    write: false,
    absWorkingDir: resolve(dir),
    format: "esm",
    target: "es2023",
    platform: "neutral",
    minifySyntax: true,
    legalComments: "none",
    external: ["wasi:*"],
    alias: { "@capstan/sdk": resolve(here, "..") },
    logLevel: "silent",
  });
  return result.outputFiles[0]?.text ?? "";
}

/** The world `pod`, with WASI's own interfaces beside it. */
function writeWit(scratch: string, exported: keyof typeof EXPORTS, source: string): void {
  const asks = source.includes(OUTGOING);
  const jco = dirname(createRequire(import.meta.url).resolve("@bytecodealliance/jco"));
  const wasi = [join(jco, "../lib/wit/builtin"), join(jco, "lib/wit/builtin")].find((path) => existsSync(path));
  if (!wasi) throw new Error("this version of jco has no WASI interfaces");
  const deps = join(scratch, "deps");
  cpSync(join(wasi, WASI_VERSION), deps, { recursive: true });
  for (const name of readdirSync(deps)) {
    const file = join(deps, name, "package.wit");
    writeFileSync(file, readFileSync(file, "utf8").replaceAll("wasi:", MEANWHILE));
  }
  const imports = [
    ...IMPORTS,
    ...(exported === "incomingHandler" || asks ? ["http/types"] : []),
    ...(asks ? [OUTGOING] : []),
    ...(source.includes(CREATES_SOCKETS) ? SOCKETS : []),
  ];
  const world = [
    ...imports.map((name) => `  import ${MEANWHILE}${name}@${WASI_VERSION};`),
    `  export ${MEANWHILE}${EXPORTS[exported]}@${WASI_VERSION};`,
  ];
  writeFileSync(join(scratch, "pod.wit"), `package capstan:pod@1.0.0;\nworld pod {\n${world.join("\n")}\n}\n`);
}

function buildGo(dir: string): Promise<Uint8Array> {
  const scratch = mkdtempSync(join(tmpdir(), "capstan-pod-"));
  mkdirSync(scratch, { recursive: true });
  const out = join(scratch, "pod.wasm");
  const args = ["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, "."];
  // The flags of the person's shell would make other bytes.
  const env = { ...process.env, GOOS: "wasip1", GOARCH: "wasm", GOFLAGS: "-mod=mod", GOWASM: "", CGO_ENABLED: "0" };
  return new Promise<Uint8Array>((done, fail) => {
    const child = spawn("go", args, { cwd: dir, env, stdio: ["ignore", "pipe", "pipe"] });
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        if (said.length < 200) said.push(text);
      });
    child.on("error", (error: NodeJS.ErrnoException) =>
      fail(error.code === "ENOENT" ? new Error("there is no go on this machine: install Go 1.24 or newer") : error),
    );
    child.on("close", (code) =>
      code === 0 ? done(readFileSync(out)) : fail(new Error(`go ended with ${code}:\n${said.join("").trim()}`)),
    );
  }).finally(() => rmSync(scratch, { recursive: true, force: true }));
}
