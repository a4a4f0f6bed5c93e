/** Child processes of the command line itself: installers, builders, probes. */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

const KEPT_CHARACTERS = 64 * 1024;

/**
 * Runs a program to its end. Of its output the last 64 Ki characters are kept, or `keep`, for the caller who must
 * have all of it; `onLine` sees every line as it comes.
 */
export function run(
  file: string,
  args: readonly string[],
  options: {
    cwd?: string;
    env?: NodeJS.ProcessEnv;
    onLine?: (line: string) => void;
    timeoutMs?: number;
    keep?: number;
  } = {},
): Promise<Finished> {
  const keep = options.keep ?? KEPT_CHARACTERS;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      ...(options.timeoutMs ? { timeout: options.timeoutMs } : {}),
    });
    const kept = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        kept[name] = (kept[name] + text).slice(-keep);
        if (options.onLine) for (const line of text.split("\n")) if (line.trim()) options.onLine(line.trim());
      });
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, ...kept }));
  });
}

/** The absolute path of a program: the PATH, then the places that only root's shells have on it. */
export function findProgram(name: string): string | undefined {
  const places = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  for (const place of places) {
    if (!place) continue;
    try {
      accessSync(join(place, name), constants.X_OK);
      return join(place, name);
    } catch {
      // not there: the next place
    }
  }
  return undefined;
}
