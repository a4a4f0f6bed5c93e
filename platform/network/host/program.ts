/** Runs the host's own programs (nft, ip, conntrack, sysctl): no shell, bounded in time and output. */
import { spawn } from "node:child_process";

export interface ProgramResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface ProgramOptions {
  input?: string;
  timeout_ms?: number;
}

/** Resolves with the exit code, also when it is not 0; code 127 and a message when the program is not there. */
export type RunProgram = (program: string, args: readonly string[], options?: ProgramOptions) => Promise<ProgramResult>;

const OUTPUT_CHARACTERS_MAX = 16 * 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** Debian keeps these programs where an ordinary user's PATH does not look. */
const PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

export const runProgram: RunProgram = (program, args, options = {}) =>
  new Promise((resolve) => {
    const child = spawn(program, [...args], {
      env: { PATH, LC_ALL: "C" },
      stdio: ["pipe", "pipe", "pipe"],
      timeout: options.timeout_ms ?? TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (stdout.length < OUTPUT_CHARACTERS_MAX) stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (stderr.length < OUTPUT_CHARACTERS_MAX) stderr += text;
    });
    child.on("error", (error: NodeJS.ErrnoException) =>
      resolve({ code: 127, stdout, stderr: error.code === "ENOENT" ? `${program} is not installed` : error.message }),
    );
    child.on("close", (code, signal) =>
      resolve({ code: code ?? 124, stdout, stderr: signal ? `${stderr}${program} was ended by ${signal}` : stderr }),
    );
    // A program that exits early closes its input; its exit code tells what went wrong.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });

/** The same, inside a named network namespace (only the network changes: mounts stay the host's). */
export const inNamespace =
  (name: string, run: RunProgram = runProgram): RunProgram =>
  (program, args, options) =>
    run("nsenter", [`--net=/run/netns/${name}`, "--", program, ...args], options);

/** Runs and returns stdout; throws with the program's own words when it fails. */
export async function mustRun(run: RunProgram, program: string, args: readonly string[], input?: string) {
  const result = await run(program, args, input === undefined ? {} : { input });
  if (result.code !== 0) throw new Error(`${program} ${args.join(" ")}: ${(result.stderr || result.stdout).trim()}`);
  return result.stdout;
}
