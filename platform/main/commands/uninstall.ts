import { existsSync } from "node:fs";
import type { Command } from "../command.ts";
import { paths, readConfig } from "../config.ts";
import { addedPackages } from "../host.ts";
import { undoHost } from "../host-changes.ts";
import { step } from "../steps.ts";
import { stopEverything } from "./down.ts";
import { confirmed } from "./reset.ts";

export const uninstall: Command = {
  usage: "uninstall",
  help: "stop everything and take back what was changed on this host; data stays",
  async run(options) {
    if (!existsSync(paths(options.dataDir).config)) {
      process.stdout.write(`nothing is installed in ${options.dataDir}\n`);
      return 0;
    }
    if (!(await confirmed("Stop everything and take back what Capstan changed on this host?", options.yes))) return 1;
    await stopEverything(options);
    const undone = await step("taking back changes of this host", () => undoHost(readConfig(options.dataDir)));
    for (const line of undone) process.stdout.write(`  ${line}\n`);
    const added = addedPackages(options.dataDir);
    if (added.length)
      process.stdout.write(
        `Debian packages that \`up\` added (remove them with apt-get purge if nothing else needs them):\n  ${added.join(" ")}\n`,
      );
    process.stdout.write(`The data is still in ${options.dataDir}: \`npm run reset\` deletes it.\n`);
    return 0;
  },
};
