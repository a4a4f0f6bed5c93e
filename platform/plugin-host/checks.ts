/** What a Plugin object says is checked before anything runs: its configuration by its schema, its component by its digest. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { messageOf } from "#platform/base/log.ts";
import type { PluginSpec } from "#sdk/plugin/manifest.ts";

/** What is wrong with the configuration, by the plugin's own schema. */
export function configError({ config, configSchema }: PluginSpec): string | undefined {
  if (Object.keys(configSchema).length === 0) return undefined;
  try {
    const issue = z.fromJSONSchema(configSchema).safeParse(config).error?.issues[0];
    return issue && `invalid config: ${["config", ...issue.path].join(".")}: ${issue.message}`;
  } catch (error) {
    return `invalid configSchema: ${messageOf(error)}`;
  }
}

/** Why a spec cannot be read, as zod has it. */
export function specError(error: unknown): string {
  const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
  return `invalid spec: ${issue ? `${issue.path.join(".")}: ${issue.message}` : messageOf(error)}`;
}

/** The component's bytes, checked against the digest before anything compiles them. */
export async function fetchVerified(directory: string, digest: string): Promise<Uint8Array> {
  const path = join(directory, `${digest.replace(":", "-")}.wasm`);
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new Error(`the component cannot be read: ${messageOf(error)}`);
  });
  const actual = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (actual !== digest) throw new Error(`${path} has the digest ${actual}`);
  return bytes;
}
