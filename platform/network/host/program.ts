/** Runs the host's own programs (nft, ip, conntrack, sysctl): no shell, bounded in time and output. */
import { messageOf } from "#platform/base/log.ts";
import { runByShell } from "#platform/base/programs.ts";

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

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const NOT_FOUND = 127;
const TIMED_OUT = 124;
const TIMEOUT_MS = 30_000;
/** Debian keeps these programs where an ordinary user's PATH does not look. */
const PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

export const runProgram: RunProgram = async (program, args, options = {}) => {
  const run = {
    ...{ file: program, args, env: { PATH, LC_ALL: "C" }, timeoutMs: options.timeout_ms ?? TIMEOUT_MS },
    ...{ outputBytesMax: OUTPUT_BYTES_MAX, ...(options.input === undefined ? {} : { input: options.input }) },
  };
  try {
    const { code, timedOut, stdout, stderr } = await runByShell(run);
    if (timedOut)
      return { code: TIMED_OUT, stdout, stderr: `${stderr}${program} took longer than ${run.timeoutMs} ms` };
    return code === NOT_FOUND ? { code, stdout, stderr: `${program} is not installed` } : { code, stdout, stderr };
  } catch (error) {
    return { code: NOT_FOUND, stdout: "", stderr: messageOf(error) };
  }
};

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
