/** The configuration of an instance that a test starts by roles: a data directory of its own, a free port, no nodes, and keys. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "#db/testing.ts";
import type { Config } from "../config.ts";
import { ensurePki } from "../pki.ts";

/** Without nodes, on a free port, for a data directory that is there. */
export async function plainConfig(dataDir: string, databaseUrl: string): Promise<Config> {
  return {
    dataDir,
    instance: "000000",
    api: { host: "127.0.0.1", port: await freePort() },
    console: { host: "127.0.0.1", port: 0 },
    databaseUrl,
    serviceCIDR: "10.96.0.0/16",
    podCIDR: "10.244.0.0/16",
    dns: { domain: "cluster.local", address: "10.96.0.10" },
    engine: "jco",
    nodes: [],
  };
}

/** `name` is part of the directory's, which whoever asks removes. */
export async function testConfig(name: string, databaseUrl: string, more: Partial<Config> = {}): Promise<Config> {
  const plain = await plainConfig(mkdtempSync(join(tmpdir(), `capstan-${name}-`)), databaseUrl);
  const config: Config = { ...plain, instance: "test", ...more };
  await ensurePki(config);
  return config;
}
