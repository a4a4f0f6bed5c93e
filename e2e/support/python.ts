/** Python programs of others, from the package index, in an environment of their own that is kept between runs. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { messageOf } from "#platform/base/log.ts";
import { findProgram, run } from "#platform/main/run.ts";

const INSTALL_MS = 300_000;

export interface Python {
  /** The environment's bin folder. */
  bin: string;
  /** Why there is none; false when there is. The shape is node:test's `skip` option. */
  skip: string | false;
}

/** An environment with exactly these requirements (`name==version`); where it cannot be made, the reason. */
export async function pythonWith(...requirements: string[]): Promise<Python> {
  if (!findProgram("python3"))
    return { bin: "", skip: "python3 is not on the PATH: install it (Debian: python3 python3-venv) to run this test" };
  try {
    return { bin: await environment(requirements), skip: false };
  } catch (error) {
    return { bin: "", skip: messageOf(error) };
  }
}

async function environment(requirements: readonly string[]): Promise<string> {
  const digest = createHash("sha256").update(requirements.join("\n")).digest("hex").slice(0, 12);
  const dir = join(homedir(), ".cache/capstan", `python-${digest}`);
  const made = join(dir, "made");
  if (!existsSync(made)) {
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    await must("python3", ["-m", "venv", dir]);
    await must(join(dir, "bin/pip"), ["install", "--quiet", "--disable-pip-version-check", ...requirements]);
    writeFileSync(`${made}.new`, requirements.join("\n"));
    renameSync(`${made}.new`, made);
  }
  return join(dir, "bin");
}

async function must(program: string, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await run(program, args, { timeoutMs: INSTALL_MS });
  if (code !== 0)
    throw new Error(
      `${program} ${args.slice(0, 3).join(" ")} failed: ${stdout}${stderr}\nDebian: apt-get install python3-venv`,
    );
}
