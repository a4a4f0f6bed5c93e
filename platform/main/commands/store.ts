/** `store verify`: whether the store's invariants hold in a live database. */
import { verify } from "#platform/store/postgres/verify.ts";
import type { Command } from "../cli.ts";
import { UserError } from "../steps.ts";
import { databaseOf } from "./backup.ts";

export const store: Command = {
  usage: "store verify",
  help: "check the invariants of the store in the live database",
  async run(options, [what]) {
    if (what !== "verify") throw new UserError(`there is no command "store ${what ?? ""}"`, "npx capstan store verify");
    const results = await verify(databaseOf(options));
    for (const { name, violations, examples } of results) {
      process.stdout.write(
        `${violations === 0 ? "✓" : "✗"} ${name}${violations === 0 ? "" : `: ${violations} violations`}\n`,
      );
      for (const example of examples) process.stdout.write(`    ${example}\n`);
    }
    return results.every(({ violations }) => violations === 0) ? 0 : 1;
  },
};
