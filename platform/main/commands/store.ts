/** `store verify`: whether the store's invariants hold in a live database. */
import { createLog } from "#platform/base/log.ts";
import { sealingOf } from "#platform/store/encryption/file.ts";
import type { StoredObject } from "#platform/store/port.ts";
import { verify } from "#platform/store/postgres/verify.ts";
import type { Command } from "../command.ts";
import { UserError } from "../steps.ts";
import { databaseOf, encryptionOf } from "./backup.ts";

export const store: Command = {
  usage: "store verify",
  help: "check the invariants of the store in the live database",
  async run(options, [what]) {
    if (what !== "verify") throw new UserError(`there is no command "store ${what ?? ""}"`, "npx capstan store verify");
    const sealing = sealingOf(encryptionOf(options), createLog("error", { role: "store" }));
    const open = async (object: StoredObject) => {
      await sealing.ready(object);
      return sealing.open(object);
    };
    const results = await verify(databaseOf(options), open);
    sealing.close();
    for (const { name, violations, examples } of results) {
      process.stdout.write(
        `${violations === 0 ? "✓" : "✗"} ${name}${violations === 0 ? "" : `: ${violations} violations`}\n`,
      );
      for (const example of examples) process.stdout.write(`    ${example}\n`);
    }
    return results.every(({ violations }) => violations === 0) ? 0 : 1;
  },
};
