/** Ends the load balancers' HAProxy: it is a daemon that outlives every role, so `down` has to. */
import { balancerDir } from "../facts.ts";
import { type RunProgram, runProgram } from "./program.ts";

/** Process ids of HAProxy masters whose sockets are below this data directory. */
export async function balancerProcesses(dataDir: string, run: RunProgram = runProgram): Promise<number[]> {
  const { stdout } = await run("ss", ["-xlpHn"]);
  const ours = stdout.split("\n").filter((line) => line.includes(` ${balancerDir(dataDir)}/master.sock`));
  return [...new Set(ours.flatMap((line) => [...line.matchAll(/"haproxy",pid=(\d+)/g)].map(([, pid]) => Number(pid))))];
}

/** Returns how many were asked to end. The next reconcile of a load balancer starts HAProxy again. */
export async function stopBalancers(dataDir: string, run: RunProgram = runProgram): Promise<number> {
  const pids = await balancerProcesses(dataDir, run);
  for (const pid of pids) process.kill(pid, "SIGTERM");
  return pids.length;
}
