/** Builds the first-party plugins and installs them in root. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { createEngine } from "#sdk/engine/index.ts";
import { CONTRACT_PREFIX, compiledDir, type EngineName } from "#sdk/engine/port.ts";
import { capabilitiesDigest } from "#sdk/plugin/approval.ts";
import { buildPlugin, componentPath, readIndex } from "#sdk/plugin/build.ts";
import { type Manifest, PLUGINS, type Plugin } from "#sdk/plugin/manifest.ts";
import { grantAccess } from "./access.ts";
import { FIRST_PARTY_PLUGINS, OFF_BY_DEFAULT } from "./index.ts";
import { grantTrust } from "./trust.ts";

/** The configuration that was installed last: one that differs from it was changed by a person, and stays. */
const INSTALLED_CONFIG = "capstan.dev/installed-config";

/** Builds what has changed into `outDir`; answers the names of those. */
export async function buildPlugins(
  outDir: string,
  starting: (name: string) => void = () => undefined,
): Promise<string[]> {
  const built: string[] = [];
  for (const name of FIRST_PARTY_PLUGINS) {
    starting(name);
    if ((await buildPlugin(join(import.meta.dirname, name), outDir)).built) built.push(name);
  }
  return built;
}

/** Compiles what was built, so that the roles find it in the cache and start at once. */
export async function compilePlugins(
  componentsDir: string,
  engineName: EngineName,
  starting: (name: string) => void = () => undefined,
): Promise<void> {
  const engine = createEngine(engineName, { cacheDir: compiledDir(componentsDir), importPrefixes: [CONTRACT_PREFIX] });
  const left = readIndex(componentsDir);
  const some = async () => {
    for (let entry = left.shift(); entry; entry = left.shift()) {
      starting(entry.name);
      await engine.load(readFileSync(componentPath(componentsDir, entry.digest)), entry.digest);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, some));
}

const approvedOf = ({ capabilities }: Manifest): string[] =>
  capabilities.length > 0 ? [capabilitiesDigest(capabilities)] : [];

function pluginObject(manifest: Manifest, digest: string): Plugin {
  const { name, ...spec } = manifest;
  return {
    apiVersion: "capstan.dev/v1",
    kind: "Plugin",
    metadata: { name, annotations: { [INSTALLED_CONFIG]: JSON.stringify(manifest.config) } },
    // Whoever starts the platform approves what its own plugins ask for.
    spec: { ...spec, digest, enabled: !OFF_BY_DEFAULT.has(name), approved: approvedOf(manifest) },
  };
}

/** The Plugin objects of what was built into `componentsDir`. */
export function builtPlugins(componentsDir: string): Plugin[] {
  const entries = new Map(readIndex(componentsDir).map((entry) => [entry.name, entry]));
  return FIRST_PARTY_PLUGINS.flatMap((name) => {
    const entry = entries.get(name);
    return entry ? [pluginObject(entry.manifest, entry.digest)] : [];
  });
}

/** By an option of the server, and not by its owner: back to the default when the option is gone. */
const BY_OPTION = "capstan.dev/enabled-by-option";

/**
 * What a plugin becomes when it is installed over `present`: whether it is enabled, unless an option says so, and a changed configuration, are
 * the owner's.
 */
export function upgraded(present: Plugin, wanted: Plugin, byOption?: boolean): Plugin {
  const was = present.metadata.annotations?.[INSTALLED_CONFIG];
  const changed = was !== undefined && was !== JSON.stringify(present.spec.config ?? {});
  const { [BY_OPTION]: wasByOption, ...owned } = present.metadata.annotations ?? {};
  const spec: Plugin["spec"] = {
    ...wanted.spec,
    enabled: byOption ?? (wasByOption ? (wanted.spec.enabled ?? true) : (present.spec.enabled ?? true)),
    config: changed ? present.spec.config : wanted.spec.config,
  };
  const optional: Record<string, string> = byOption === undefined ? {} : { [BY_OPTION]: String(byOption) };
  const annotations = { ...owned, ...wanted.metadata.annotations, ...optional };
  return { ...present, metadata: { ...present.metadata, annotations }, spec };
}

/**
 * Creates or updates the Plugin objects in root, and the roles of their users; answers the names of those that were not as they should be.
 * `switches`: those that an option turns on or off.
 */
export async function installPlugins(
  client: Client,
  componentsDir: string,
  switches: ReadonlyMap<string, boolean> = new Map(),
): Promise<string[]> {
  const changed: string[] = [];
  await grantTrust(client);
  for (const wanted of builtPlugins(componentsDir)) {
    await grantAccess(client, wanted);
    if (await install(client, wanted, switches.get(wanted.metadata.name ?? "")))
      changed.push(wanted.metadata.name ?? "");
  }
  return changed;
}

const ATTEMPTS = 5;

async function install(client: Client, wanted: Plugin, byOption: boolean | undefined): Promise<boolean> {
  const name = wanted.metadata.name ?? "";
  for (let attempt = 1; ; attempt++) {
    try {
      const present = await client.get<Plugin>(PLUGINS, { name });
      const next = upgraded(present, wanted, byOption);
      if (sameSpec(next.spec, present.spec)) return false;
      await client.update(PLUGINS, next);
      return true;
    } catch (error) {
      if (isReason(error, "NotFound")) {
        await client.create(PLUGINS, upgraded(wanted, wanted, byOption));
        return true;
      }
      if (!isReason(error, "Conflict") || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Key order and what the server filled in do not matter: only what is wanted is compared. */
function sameSpec(wanted: unknown, present: unknown): boolean {
  if (typeof wanted !== "object" || wanted === null) return wanted === present;
  if (Object.keys(wanted).length === 0 && present === undefined) return true;
  if (typeof present !== "object" || present === null) return false;
  if (Array.isArray(wanted) && (!Array.isArray(present) || present.length !== wanted.length)) return false;
  return Object.entries(wanted).every(([key, value]) => sameSpec(value, (present as Record<string, unknown>)[key]));
}
