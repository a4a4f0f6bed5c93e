/** Waiting for an instance's processes, told to a person. */
import { delay } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import { type Config, paths } from "./config.ts";
import { isAlive, readIdentity } from "./processes.ts";
import { step, UserError } from "./steps.ts";
import { readReport } from "./supervisor.ts";

const READY_MS_MAX = 120_000;

/** Until these processes are ready, or all. */
export async function waitReady(config: Config, title: string, names?: string[]): Promise<void> {
  const { run, logs } = paths(config.dataDir);
  const deadline = Date.now() + READY_MS_MAX;
  await step(title, async (s) => {
    for (;;) {
      if (!isAlive(readIdentity(run, "supervisor"))) throw await notStarted(logs, "supervisor");
      const report = Object.entries(readReport(run) ?? {}).filter(([name]) => names?.includes(name) ?? true);
      const waiting = report.filter(([, p]) => p.state !== "ready");
      if (report.length > 0 && waiting.length === 0) return;
      const failing = waiting.find(([, p]) => p.restarts >= 3 && p.state === "backoff");
      if (failing || Date.now() > deadline) throw await notStarted(logs, (failing ?? waiting[0])?.[0] ?? "supervisor");
      s.progress(waiting.map(([name, p]) => `${name}: ${p.state}`).join("  "));
      await delay(100);
    }
  });
}

async function notStarted(logs: string, name: string): Promise<UserError> {
  const file = `${logs}/${name}.log`;
  const { readFile } = await import("node:fs/promises");
  const last = await readFile(file, "utf8").then(
    (text) => text.trim().split("\n").slice(-4).join("\n    "),
    (error: unknown) => messageOf(error),
  );
  return new UserError(
    `${name} does not become ready. Its last words:\n    ${last}`,
    `less ${file}   # then: npm run down && npm run up`,
  );
}
