import { existsSync, rmSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import type { Command } from "../command.ts";
import { paths, readConfig } from "../config.ts";
import { undoHost } from "../host-changes.ts";
import { step } from "../steps.ts";
import { stopEverything } from "./down.ts";

/** Asks on the terminal; without one the answer is no. */
export async function confirmed(question: string, yes: boolean): Promise<boolean> {
  if (yes) return true;
  if (!process.stdin.isTTY) {
    process.stderr.write(`${question} Not asked (no terminal): add --yes to mean it.\n`);
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`${question} [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

export const reset: Command = {
  usage: "reset",
  help: "stop everything and delete all data, after asking",
  async run(options) {
    if (!existsSync(options.dataDir)) {
      process.stdout.write(`nothing to delete: ${options.dataDir} does not exist\n`);
      return 0;
    }
    if (
      !(await confirmed(
        `Delete everything in ${options.dataDir}, all objects and volumes of pods included?`,
        options.yes,
      ))
    )
      return 1;
    await stopEverything(options);
    await step("deleting", async () => {
      if (existsSync(paths(options.dataDir).config)) await undoHost(readConfig(options.dataDir));
      rmSync(options.dataDir, { recursive: true, force: true });
    });
    return 0;
  },
};
