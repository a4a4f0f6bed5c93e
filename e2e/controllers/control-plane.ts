/** An API server and the loops in this process, over a database of their own; no scheduler, no nodes. */
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { promisify } from "node:util";
import { withTestDatabase } from "#db/testing.ts";
import { createLog } from "#platform/base/log.ts";
import { type Config, paths } from "#platform/main/config.ts";
import type { RunningRole, StartRole } from "#platform/main/role.ts";
import { start as startApiserver } from "#platform/main/roles/apiserver.ts";
import { start as startControllers } from "#platform/main/roles/controllers.ts";
import { testConfig } from "#platform/main/testing/config.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";

const run = promisify(execFile);

export interface ControlPlane {
  client: Client;
  config: Config;
  kubeconfig: string;
  kubectl(...args: string[]): Promise<string>;
  /** Warnings and errors of both, as JSON lines. */
  readonly complaints: readonly string[];
  remove(): Promise<void>;
}

export async function startControlPlane({ loops = true } = {}): Promise<ControlPlane> {
  const db = await withTestDatabase();
  const config = await testConfig("plane", db.url);
  const { dataDir } = config;
  const complaints: string[] = [];
  const log = createLog("warn", {}, (line) => void complaints.push(line));
  const roles: RunningRole[] = [];
  const { kubeconfig } = paths(dataDir);
  const client = createClient(loadKubeconfig(kubeconfig));
  const startRole = async (start: StartRole) => {
    const role = await start({ config, log });
    roles.push(role);
    await role.ready;
  };
  await startRole(startApiserver);
  if (loops) await startRole(startControllers);
  return {
    client,
    config,
    kubeconfig,
    complaints,
    kubectl: async (...args) => (await run("kubectl", ["--kubeconfig", kubeconfig, ...args])).stdout,
    async remove() {
      client.close();
      for (const role of roles.reverse()) await role.stop();
      await db.remove();
      rmSync(dataDir, { recursive: true });
    },
  };
}
