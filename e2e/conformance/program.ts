/** Programs the suite is built with. */
import { findProgram, run } from "#platform/main/run.ts";

/** Runs to the end and answers standard output (its last 64 KiB); throws with the program's last words when it fails. */
export async function must(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const finished = await run(program, args, options);
  if (finished.code === 0) return finished.stdout;
  const said = (finished.stderr || finished.stdout).slice(-4000);
  throw new Error(`${program} ${args.slice(0, 4).join(" ")} … failed (exit code ${finished.code}):\n${said}`);
}

/** Installs the Debian packages whose program is missing. Throws where there is no apt-get. */
export async function ensurePackages(packages: readonly { name: string; program: string }[]): Promise<void> {
  const missing = packages.filter((p) => !findProgram(p.program)).map((p) => p.name);
  if (missing.length === 0) return;
  if (!findProgram("apt-get") || process.getuid?.() !== 0)
    throw new Error(`the suite's images need ${missing.join(", ")}: install them, or run as root where apt-get is`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await must("apt-get", ["update", "-q"], { env });
  await must("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...missing], { env });
}
