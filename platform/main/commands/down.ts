import { delay } from "#platform/base/clock.ts";
import type { Command } from "../command.ts";
import { paths } from "../config.ts";
import { isAlive, launch, readIdentity } from "../processes.ts";
import type { Options } from "../settings.ts";
import { supervisorSpec } from "../specs.ts";
import { step, UserError } from "../steps.ts";
import { readReport } from "../supervisor.ts";

const STOP_MS_MAX = 120_000;

/** Stops everything of an instance, pods too; true when something ran. What was declared stays in the database. */
export async function stopEverything(options: Pick<Options, "dataDir">): Promise<boolean> {
  const { run, logs } = paths(options.dataDir);
  const anything = Object.keys(readReport(run) ?? {}).some((name) => isAlive(readIdentity(run, name)));
  let supervisor = readIdentity(run, "supervisor");
  if (!isAlive(supervisor) && !anything) return false;
  await step("stopping", async (s) => {
    // A killed supervisor leaves its processes running: a new one adopts them and stops them in order.
    if (!isAlive(supervisor)) {
      launch(supervisorSpec(options.dataDir), run, logs);
      supervisor = readIdentity(run, "supervisor");
      await delay(1_000);
    }
    if (!isAlive(supervisor)) throw new UserError("the supervisor does not start", `look into ${logs}/supervisor.log`);
    process.kill(supervisor.pid, "SIGTERM");
    const deadline = Date.now() + STOP_MS_MAX;
    while (isAlive(supervisor)) {
      if (Date.now() > deadline)
        throw new UserError("not everything stopped in two minutes", `look into ${logs}/supervisor.log`);
      const left = Object.entries(readReport(run) ?? {}).filter(([, p]) => p.state !== "stopped");
      s.progress(left.map(([name]) => name).join(" "));
      await delay(100);
    }
  });
  return true;
}

export const down: Command = {
  usage: "down",
  help: "stop everything, pods too; nothing declared is lost",
  async run(options) {
    if (!(await stopEverything(options))) process.stdout.write("nothing is running\n");
    return 0;
  },
};
