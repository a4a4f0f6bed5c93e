/**
 * Programs of the host, started by a small shell instead of by this process: a fork copies the page tables of who forks, so an agent of 150 MB
 * stood still for milliseconds with each of the programs that a pod needs (`decisions/141`). Input and output are files of a directory of our own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface ProgramRun {
  /** An absolute path, or a name that is looked for in PATH of `env`. */
  file: string;
  args: readonly string[];
  /** All of the program's environment. */
  env: Readonly<Record<string, string>>;
  input?: string;
  timeoutMs: number;
  /** Of each of the two outputs; what is beyond is left out. */
  outputBytesMax: number;
}

export interface ProgramEnd {
  /** 127: there is no such program. 128 and more: ended by that signal. */
  code: number;
  timedOut: boolean;
  stdout: string;
  stderr: string;
}

/** Nothing writes a file of more than 1 GiB (in blocks of 512 bytes): an output without end must not fill the disk. */
const FILE_BLOCKS_MAX = 2_097_152;
/** Reads a command a line; goes when its input ends, whatever signals its process group gets, and takes the directory with it. */
const SHELL = `trap '' INT TERM HUP; ulimit -f ${FILE_BLOCKS_MAX}; cd /; while IFS= read -r line; do eval "$line"; done; rm -rf -- "$1"`;

/** What the shell ignores, programs do not; but for INT and QUIT, which come from a terminal and to no background job. */
const PLAIN_SIGNALS = "trap - TERM HUP";

interface Pending {
  started(pid: number): void;
  ended(code: number): void;
  lost(): void;
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

class Helper {
  readonly directory = mkdtempSync(join(tmpdir(), "capstan-programs-"));
  private readonly child: ChildProcess;
  private readonly pending = new Map<number, Pending>();
  private last = 0;
  private rest = "";
  alive = true;

  constructor() {
    this.child = spawn("/bin/sh", ["-c", SHELL, "sh", this.directory], {
      env: {},
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => this.read(text));
    this.child.stdin?.on("error", () => undefined);
    this.child.on("error", () => this.end());
    this.child.on("exit", () => this.end());
    this.hold(false);
  }

  /** Runs one command line; `told` is called with its process id, as soon as it is known. */
  command(line: (id: number) => string, told: (pid: number) => void): Promise<number> {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      const lost = () => reject(new Error("the shell that starts programs was ended"));
      this.pending.set(id, { started: told, ended: resolve, lost });
      this.hold(true);
      this.child.stdin?.write(`${line(id)}\n`);
    });
  }

  /** "ID p PID" when a program has started, "ID e CODE" when it has ended. */
  private read(text: string): void {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      const [id = "", what, value = ""] = line.split(" ");
      const one = this.pending.get(Number(id));
      if (!one) continue;
      if (what === "p") one.started(Number(value));
      else {
        this.pending.delete(Number(id));
        one.ended(Number(value));
      }
    }
    if (this.pending.size === 0) this.hold(false);
  }

  private end(): void {
    if (!this.alive) return;
    this.alive = false;
    rmSync(this.directory, { recursive: true, force: true });
    for (const one of this.pending.values()) one.lost();
    this.pending.clear();
  }

  /** Only what is under way keeps this process alive. */
  private hold(on: boolean): void {
    const handles = [this.child, this.child.stdin, this.child.stdout] as unknown as { ref(): void; unref(): void }[];
    for (const handle of handles) on ? handle.ref() : handle.unref();
  }
}

/** It may have ended a moment ago, before the shell's word of it was read. */
function endNow(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

let helper: Helper | undefined;
let files = 0;

/** These files are small, just written and in memory: to read one takes less time than to ask another thread for it. */
function textOf(file: string, bytesMax: number): string {
  const descriptor = openSync(file, "r");
  try {
    const { size } = fstatSync(descriptor);
    if (size === 0) return "";
    const buffer = Buffer.alloc(Math.min(size, bytesMax));
    readSync(descriptor, buffer, 0, buffer.length, 0);
    return buffer.toString("utf8");
  } finally {
    closeSync(descriptor);
  }
}

/** Resolves when the program has ended, however. Rejects when the shell was killed, and for what no argument can hold. */
export async function runByShell(run: ProgramRun): Promise<ProgramEnd> {
  const { file, args, env, input = "", timeoutMs, outputBytesMax } = run;
  if ([file, ...args, ...Object.values(env)].some((text) => text.includes("\0")))
    throw new Error("an argument of a program holds no zeros");
  if (!Object.keys(env).every((name) => /^[A-Za-z_]\w*$/.test(name))) throw new Error("a variable's name is none");
  if (!helper?.alive) helper = new Helper();
  const shell = helper;
  const base = join(shell.directory, String(++files));
  const [stdin, stdout, stderr] = [`${base}.in`, `${base}.out`, `${base}.err`];
  if (input !== "") writeFileSync(stdin, input, { mode: 0o600 });
  const variables = Object.entries(env).map(([name, value]) => `${name}=${quoted(value)}`);
  const command = [...variables, "exec", ...[file, ...args].map(quoted)].join(" ");
  const script = command.includes("\n") ? `${base}.sh` : undefined;
  if (script) writeFileSync(script, `${command}\n`, { mode: 0o600 });
  const start = script ? `. ${quoted(script)}` : command;
  const redirects = `<${input === "" ? "/dev/null" : quoted(stdin)} >${quoted(stdout)} 2>${quoted(stderr)}`;
  let pid: number | undefined;
  let timedOut = false;
  const kill = () => {
    timedOut = true;
    if (pid !== undefined) endNow(pid);
  };
  const timer = setTimeout(kill, timeoutMs);
  try {
    const code = await shell.command(
      (id) => `{ (${PLAIN_SIGNALS}; ${start}) ${redirects} & echo "${id} p $!"; wait $!; echo "${id} e $?"; } &`,
      (started) => {
        pid = started;
        if (timedOut) kill();
      },
    );
    return { code, timedOut, stdout: textOf(stdout, outputBytesMax), stderr: textOf(stderr, outputBytesMax) };
  } finally {
    clearTimeout(timer);
    const left = [stdout, stderr, ...(input === "" ? [] : [stdin]), ...(script ? [script] : [])];
    for (const path of left) rmSync(path, { force: true });
  }
}
