/** The capability `exec`: one program, no shell, an environment of its own; bounded in time and output. */
import { accessSync, constants as modes } from "node:fs";
import { constants } from "node:os";
import { isAbsolute, join } from "node:path";
import { messageOf } from "#platform/base/log.ts";
import { runByShell } from "#platform/base/programs.ts";
import { hostFailure } from "./failure.ts";

const OUTPUT_BYTES_MAX = 1024 * 1024;
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
      accessSync(candidate, modes.X_OK);
      return candidate;
    } catch {
      // The next directory.
    }
  }
  throw hostFailure("NotFound", 404, `the program ${program} is not installed (looked in ${candidates.join(", ")})`);
}

/** What a daemon that it leaves behind does is not waited for. */
export async function runProgram(program: string, run: Run): Promise<Output> {
  const path = findProgram(program);
  const { args, timeoutMs, stdin: input } = run;
  const env = { PATH: PATH.join(":"), ...run.env };
  const end = await runByShell({ file: path, args, env, input, timeoutMs, outputBytesMax: OUTPUT_BYTES_MAX }).catch(
    (error: unknown) => {
      throw hostFailure("InternalError", 500, `${path} could not be started: ${messageOf(error)}`);
    },
  );
  const { code, timedOut, stdout, stderr } = end;
  const said = stderr.trim();
  if (timedOut)
    throw hostFailure("Timeout", 504, `${path} took longer than ${Math.round(timeoutMs)} ms${said && `: ${said}`}`);
  if (code > SIGNALLED && code <= SIGNALLED + SIGNALS)
    throw hostFailure("InternalError", 500, `${path} was ended by ${signalName(code - SIGNALLED)}: ${said}`);
  return { exitCode: code, stdout, stderr };
}

/** As a shell tells it: 128 and the signal's number. */
const SIGNALLED = 128;
const SIGNALS = 64;

const signalName = (number: number): string =>
  Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`;
