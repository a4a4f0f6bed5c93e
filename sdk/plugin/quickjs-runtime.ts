/**
 * The interpreter of guests in TypeScript, made to give the same component for the same source: componentize-qjs runs it once to read the
 * source and keeps its memory, and it seeds its hash tables from the machine's randomness and clock. It is taken out of the package's library,
 * where it lies whole, and what asks for randomness and time is answered zero; once running, guests ask the contract instead.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";

const WASM_HEADER = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
const CODE_SECTION = 10;
const SECTION_MAX = 13;
const cacheDir = resolve(import.meta.dirname, "../../node_modules/.cache/capstan");
/** Rises with what is done to the interpreter. */
const VERSION = 1;

/** What is answered zero: in 16 bytes at an address, or as a number. */
const ZEROED = [
  { module: "wasi:random/insecure-seed", name: "insecure-seed", by: "call $capstan_zero" },
  { module: "wasi:clocks/wall-clock", name: "now", by: "call $capstan_zero" },
  { module: "wasi:clocks/monotonic-clock", name: "now", by: "i64.const 0" },
];
const ZERO = `(func $capstan_zero (param i32)
  (i64.store (local.get 0) (i64.const 0))
  (i64.store offset=8 (local.get 0) (i64.const 0)))`;

let made: Promise<Buffer | undefined> | undefined;

/** Undefined where the package's library is not as it was: then the one inside is used, and digests differ from build to build. */
export function deterministicRuntime(): Promise<Buffer | undefined> {
  made ??= make();
  return made;
}

async function make(): Promise<Buffer | undefined> {
  const library = libraryPath();
  if (library === undefined) return undefined;
  const bytes = Buffer.from(readFileSync(library));
  const digest = createHash("sha256").update(bytes).digest("hex").slice(0, 32);
  const path = join(cacheDir, `quickjs-${VERSION}-${digest}.wasm`);
  if (existsSync(path)) return readFileSync(path);
  const interpreter = interpreterIn(bytes);
  const { parse, print } = await import("@bytecodealliance/jco");
  const changed = interpreter && zeroed(await print(interpreter));
  if (changed === undefined) return undefined;
  const runtime = Buffer.from(await parse(changed));
  keep(path, runtime);
  return runtime;
}

/** The native part of componentize-qjs: npm installs the one of this machine's kind. */
function libraryPath(): string | undefined {
  const require = createRequire(import.meta.url);
  const manifest = join(dirname(require.resolve("componentize-qjs")), "package.json");
  const { optionalDependencies = {} } = JSON.parse(readFileSync(manifest, "utf8")) as {
    optionalDependencies?: Record<string, string>;
  };
  for (const name of Object.keys(optionalDependencies))
    try {
      return createRequire(manifest).resolve(name);
    } catch {
      // Of another kind of machine.
    }
  return undefined;
}

/** Of the modules that lie in the library the interpreter without the asynchronous ABI, in full size: the larger of the two. */
function interpreterIn(library: Buffer<ArrayBuffer>): Uint8Array<ArrayBuffer> | undefined {
  const found: Uint8Array<ArrayBuffer>[] = [];
  for (let at = library.indexOf(WASM_HEADER); at >= 0; at = library.indexOf(WASM_HEADER, at + WASM_HEADER.length)) {
    const end = endsOf(library, at).find((candidate) => WebAssembly.validate(library.subarray(at, candidate)));
    if (end !== undefined) found.push(new Uint8Array(library.subarray(at, end)));
  }
  const suited = found.filter((bytes) => {
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes));
    const has = (prefix: string) => imports.some(({ module }) => module.startsWith(prefix));
    return ZEROED.every(({ module }) => has(module)) && !has("$root");
  });
  return suited.sort((a, b) => b.length - a.length)[0];
}

/** Where a module that begins at `at` may end, the farthest first: behind its sections, as far as there are some. */
function endsOf(bytes: Buffer, at: number): number[] {
  const ends: number[] = [];
  let code = false;
  for (let next = at + WASM_HEADER.length; next < bytes.length; ) {
    const id = bytes[next] ?? SECTION_MAX + 1;
    const [size, content] = leb(bytes, next + 1);
    if (id > SECTION_MAX || content + size > bytes.length) break;
    next = content + size;
    code ||= id === CODE_SECTION;
    if (code) ends.push(next);
  }
  return ends.reverse();
}

function leb(bytes: Buffer, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[at++] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if ((byte & 0x80) === 0) break;
  }
  return [value, at];
}

/** The module's text with its calls of those imports replaced; undefined where one of them is not there. */
function zeroed(text: string): string | undefined {
  let changed = text;
  for (const { module, name, by } of ZEROED) {
    const index = new RegExp(`\\(import "${module}@[^"]*" "${name}" \\(func \\(;(\\d+);\\)`).exec(text)?.[1];
    if (index === undefined) return undefined;
    changed = changed.replace(new RegExp(`^(\\s*)call ${index}$`, "gm"), `$1${by.replace("$", "$$$$")}`);
  }
  const end = changed.lastIndexOf(")");
  return `${changed.slice(0, end)}${ZERO})\n`;
}

/** For the next process; where nothing can be written, each makes its own. */
function keep(path: string, runtime: Uint8Array): void {
  try {
    mkdirSync(cacheDir, { recursive: true });
    const beside = `${path}.${process.pid}.tmp`;
    writeFileSync(beside, runtime);
    renameSync(beside, path);
  } catch {
    // It is only slower.
  }
}
