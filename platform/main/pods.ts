/** Ends every container of a node, for `down`: SIGTERM to all at once, SIGKILL after the grace, then no shim is left. */
import { existsSync } from "node:fs";
import { delay } from "#platform/base/clock.ts";
import type { Log } from "#platform/base/log.ts";
import type { NodeConfig } from "./config.ts";
import { run } from "./run.ts";

const GRACE_MS = 5_000;

export async function stopPods(node: NodeConfig, log: Log): Promise<void> {
  if (!existsSync(node.containerdSocket)) return;
  const ctr = (...args: string[]) =>
    run("ctr", ["--address", node.containerdSocket, "-n", "k8s.io", ...args], { timeoutMs: 20_000 });
  const running = async () => {
    const { stdout } = await ctr("tasks", "list");
    return stdout
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields.length >= 3 && fields[2] === "RUNNING")
      .map((fields) => fields[0] as string);
  };
  const signalAll = async (signal: string) => {
    for (const id of await running()) await ctr("tasks", "kill", "--signal", signal, id);
  };
  await signalAll("SIGTERM");
  for (const deadline = Date.now() + GRACE_MS; Date.now() < deadline && (await running()).length > 0; )
    await delay(200);
  await signalAll("SIGKILL");
  for (const deadline = Date.now() + GRACE_MS; Date.now() < deadline && (await running()).length > 0; )
    await delay(200);
  const { stdout } = await ctr("tasks", "list", "-q");
  const ids = stdout.split("\n").filter(Boolean);
  for (const id of ids) await ctr("tasks", "delete", id);
  log.info("pods stopped", { node: node.name, containers: ids.length });
}
