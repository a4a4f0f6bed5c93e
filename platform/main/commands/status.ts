import type { Command } from "../command.ts";
import { paths } from "../config.ts";
import { isAlive, readIdentity } from "../processes.ts";
import { readReport } from "../supervisor.ts";

export const status: Command = {
  usage: "status",
  help: "which processes run",
  async run(options) {
    const { run } = paths(options.dataDir);
    const supervisor = readIdentity(run, "supervisor");
    process.stdout.write(`supervisor   ${isAlive(supervisor) ? `running (pid ${supervisor.pid})` : "not running"}\n`);
    for (const [name, p] of Object.entries(readReport(run) ?? {})) {
      const who = readIdentity(run, name);
      const state = isAlive(who) || p.state === "ready" ? p.state : "not running";
      process.stdout.write(
        `${name.padEnd(24)} ${state.padEnd(10)} ${isAlive(who) ? `pid ${who.pid}` : ""}  restarts ${p.restarts}\n`,
      );
    }
    return isAlive(supervisor) ? 0 : 1;
  },
};
