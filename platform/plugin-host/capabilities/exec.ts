/** The capability `exec`: one program, no shell, an environment of its own; bounded in time and output. */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { isAbsolute, join } from "node:path";
import { hostFailure } from "./failure.ts";

const OUTPUT_BYTES_MAX = 1024 * 1024;
/** What a program wrote before it ended is read for so long. */
const DRAIN_MS = 200;
const PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/** Where bare names are looked for: the system's directories, and those of CNI programs (Debian's first). */
const DIRECTORIES = [...PATH, "/usr/lib/cni", "/opt/cni/bin"];

export interface Run {
  args: string[];
  env: Record<string, string>;
  stdin: string;
  timeoutMs: number;
}

export interface Output {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** The absolute path of a granted program. */
export function findProgram(program: string): string {
  const candidates = isAbsolute(program) ? [program] : DIRECTORIES.map((directory) => join(directory, program));
  for (const candidate of candidates) {
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // The next directory.
    }
  }
  throw hostFailure("NotFound", 404, `the program ${program} is not installed (looked in ${candidates.join(", ")})`);
}

function bounded(): { add(chunk: Buffer): void; text(): string } {
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    add(chunk) {
      const room = OUTPUT_BYTES_MAX - size;
      if (room <= 0) return;
      chunks.push(chunk.subarray(0, room));
      size += Math.min(room, chunk.length);
    },
    text: () => Buffer.concat(chunks).toString("utf8"),
  };
}

export function runProgram(program: string, run: Run): Promise<Output> {
  const path = findProgram(program);
  return new Promise((resolve, reject) => {
    const env = { PATH: PATH.join(":"), ...run.env };
    const child = spawn(path, run.args, { env, cwd: "/", stdio: "pipe", shell: false });
    const [stdout, stderr] = [bounded(), bounded()];
    let over = false;
    const timer = setTimeout(() => {
      over = true;
      child.kill("SIGKILL");
    }, run.timeoutMs);
    child.stdout.on("data", (chunk: Buffer) => stdout.add(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.add(chunk));
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(hostFailure("InternalError", 500, `${path} could not be started: ${error.message}`));
    });
    const ended = (code: number | null, signal: NodeJS.Signals | null) => {
      clearTimeout(timer);
      if (over) {
        const said = stderr.text().trim();
        const why = `${path} took longer than ${Math.round(run.timeoutMs)} ms${said && `: ${said}`}`;
        reject(hostFailure("Timeout", 504, why));
      } else if (code === null) {
        reject(hostFailure("InternalError", 500, `${path} was ended by ${signal}: ${stderr.text().trim()}`));
      } else resolve({ exitCode: code, stdout: stdout.text(), stderr: stderr.text() });
    };
    child.on("close", ended);
    // What a daemon that it left behind still holds open is not waited for.
    child.on("exit", (code, signal) => {
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        ended(code, signal);
      }, DRAIN_MS).unref();
    });
    // A program that does not read its input closes the pipe; that is its business.
    child.stdin.on("error", () => undefined);
    child.stdin.end(run.stdin);
  });
}
