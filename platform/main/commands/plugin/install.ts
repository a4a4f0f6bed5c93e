/** `capstan plugin install`: from a folder, a file or a registry to a Plugin that serves. */
import { copyFileSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { delay } from "#platform/base/clock.ts";
import { artifactsDir } from "#platform/plugin-host/source.ts";
import { accessOf, grantAccess } from "#plugins/access.ts";
import { upgraded } from "#plugins/build.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import type { Archived } from "#sdk/distribution/archive.ts";
import { unpack } from "#sdk/distribution/artifact.ts";
import { repositoryText } from "#sdk/distribution/reference.ts";
import { trustedBy } from "#sdk/distribution/signature.ts";
import { ArtifactStore } from "#sdk/distribution/store.ts";
import { pullArtifact } from "#sdk/distribution/transfer.ts";
import { TRUSTED_KEYS, trustedKeys } from "#sdk/distribution/trust.ts";
import { capabilitiesDigest, capabilitiesText } from "#sdk/plugin/approval.ts";
import { componentPath } from "#sdk/plugin/build.ts";
import { type Manifest, PLUGINS, type Plugin } from "#sdk/plugin/manifest.ts";
import { paths } from "../../config.ts";
import { UserError } from "../../steps.ts";
import { type Target, targetOf } from "./artifacts.ts";
import { buildOptions, only, type PluginOptions, say, withClient } from "./options.ts";

const ATTEMPTS = 5;
const SERVING_MS_MAX = 60_000;
/** A process that will run the plugin says so well before. */
const REPORTED_MS_MAX = 6_000;
const LOOK_MS = 100;
/** The configuration that was installed last (plugins/build.ts): one that differs is the owner's, and stays. */
const INSTALLED_CONFIG = "capstan.dev/installed-config";

export interface Installable {
  manifest: Manifest;
  digest: string;
  source?: { repository?: string; manifest: string };
}

export const install = {
  usage: "install DIR|FILE|REFERENCE [--tenant T]",
  help: "shows what it asks for, and installs it when you say yes",
  async run(options: PluginOptions, positionals: string[]): Promise<number> {
    const started = Date.now();
    const target = await targetOf(
      only(positionals, "a folder, an archive or a reference", this.usage),
      buildOptions(options),
    );
    return await withClient(options, async (client) => {
      const wanted = await fetched(target, options, client);
      if (!(await agreed(wanted.manifest, options))) return 1;
      await putPlugin(client, wanted, options.tenant);
      const { name, version } = wanted.manifest;
      say(`installed ${name} ${version}  ${wanted.digest}`);
      say(await serving(client, name, wanted.digest));
      say(`  ${((Date.now() - started) / 1000).toFixed(1)} s`);
      return 0;
    });
  },
};

/** Puts the bytes where the platform finds them. */
async function fetched(target: Target, options: PluginOptions, client: Client): Promise<Installable> {
  if (target.kind === "folder") {
    const { manifest, digest, path } = target.built;
    placeComponent(options, path, digest);
    return { manifest, digest };
  }
  const artifact =
    target.kind === "file"
      ? target.artifact
      : await pullArtifact(target.registry, target.reference.digest || target.reference.tag);
  const { digest: manifestDigest } = artifact.packed.descriptor;
  await checkTrust(artifact, client);
  if (target.kind === "file")
    new ArtifactStore(artifactsDir(componentsOf(options))).import(artifact.packed, artifact.signatures);
  const { plugin, component } = unpack(artifact.packed.manifest);
  const repository = target.kind === "registry" ? { repository: repositoryText(target.reference) } : {};
  return { manifest: plugin, digest: component.digest, source: { ...repository, manifest: manifestDigest } };
}

/** The platform checks it again; here it is said before anything is written. */
async function checkTrust({ packed, signatures }: Archived, client: Client): Promise<void> {
  const keys = await trustedKeys(client);
  if (trustedBy(packed.descriptor.digest, signatures, keys)) return;
  const why = signatures.length === 0 ? "it is not signed" : "none of its signatures is by a key that is trusted here";
  throw new UserError(
    `${why} (trusted in the ConfigMap ${TRUSTED_KEYS.namespace}/${TRUSTED_KEYS.name}: ${[...keys.keys()].join(", ") || "none"})`,
    "npx capstan plugin trust AUTHOR.pub",
  );
}

function componentsOf(options: PluginOptions): string {
  const { components, config } = paths(options.dataDir);
  if (!existsSync(config))
    throw new UserError(
      `there is no platform in ${options.dataDir}, and a folder or file can be installed on its own machine only`,
      "npx capstan plugin push DIR REGISTRY/NAME, then install that",
    );
  return components;
}

/** Named by its digest: what is there is the same. */
export function placeComponent(options: PluginOptions, from: string, digest: string): void {
  const components = componentsOf(options);
  const to = componentPath(components, digest);
  if (existsSync(to)) return;
  mkdirSync(components, { recursive: true, mode: 0o711 });
  // For the places in stacks (logs).
  if (existsSync(`${from}.map`)) copyFileSync(`${from}.map`, `${to}.map`);
  copyFileSync(from, `${to}.${process.pid}.new`);
  renameSync(`${to}.${process.pid}.new`, to);
}

export async function agreed(manifest: Manifest, options: PluginOptions): Promise<boolean> {
  const { name, version, description, worlds, capabilities } = manifest;
  say(`${name} ${version}: ${description}\n  worlds ${worlds.join(", ")}; asks for ${capabilitiesText(capabilities)}`);
  for (const { name: capability, reason } of capabilities) say(`  ${capability}: ${reason}`);
  if (options.yes || capabilities.length === 0) return true;
  if (!process.stdin.isTTY)
    throw new UserError("nobody is there to agree to what it asks for", "the same command with --yes");
  const ask = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await ask.question("Install it with these capabilities? [y/N] ");
  ask.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** Creates or updates the Plugin and its user's roles. Whether it is enabled, and a changed configuration, stay the owner's. */
export async function putPlugin(
  client: Client,
  { manifest, digest, source }: Installable,
  tenant: string,
): Promise<void> {
  const { name, ...rest } = manifest;
  const approved = rest.capabilities.length > 0 ? [capabilitiesDigest(rest.capabilities)] : [];
  const wanted: Plugin = {
    apiVersion: "capstan.dev/v1",
    kind: "Plugin",
    metadata: { name, annotations: { [INSTALLED_CONFIG]: JSON.stringify(rest.config) } },
    spec: { ...rest, digest, approved, enabled: true, ...(source ? { source } : {}) },
  };
  if (accessOf(wanted, tenant).roles.length > 0) await grantAccess(client, wanted, tenant);
  await writePlugin(client, name, (present) => {
    if (!present) return wanted;
    const next = upgraded(present, wanted);
    const before = present.spec.approved ?? [];
    return { ...next, spec: { ...next.spec, approved: [...new Set([...before, ...approved])] } };
  });
}

/** Changes or creates a Plugin; `change` is asked again when somebody else wrote meanwhile. */
export async function writePlugin(
  client: Client,
  name: string,
  change: (present: Plugin | undefined) => Plugin,
): Promise<Plugin> {
  for (let attempt = 1; ; attempt++) {
    try {
      const present = await client.get<Plugin>(PLUGINS, { name }).catch((error: unknown) => {
        if (isReason(error, "NotFound")) return undefined;
        throw error;
      });
      const next = change(present);
      return present ? await client.update(PLUGINS, next) : await client.create(PLUGINS, next);
    } catch (error) {
      if (!isReason(error, "Conflict") && !isReason(error, "AlreadyExists")) throw error;
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

/** Waits until a process serves this digest, and says where; or why none does. Throws when it keeps failing. */
export async function serving(client: Client, name: string, digest: string): Promise<string> {
  const started = Date.now();
  for (;;) {
    const { spec, status } = await client.get<Plugin>(PLUGINS, { name });
    if (spec.enabled === false) return `  it is paused: npx capstan plugin resume ${name}`;
    const hosts = Object.entries(status?.hosts ?? {});
    const mine = hosts.filter(([, host]) => host.digest === digest);
    const up = mine.filter(([, host]) => host.state === "serving");
    if (up.length > 0 && up.length === hosts.length) return `  serving in ${up.map(([at]) => at).join(", ")}`;
    const bad =
      hosts.find(([, h]) => h.reason !== "" && h.state !== "serving") ??
      hosts.find(([, h]) => h.reason.startsWith("the new version"));
    const waited = Date.now() - started;
    if (waited > SERVING_MS_MAX || (bad && waited > REPORTED_MS_MAX))
      throw new UserError(
        `it does not serve${bad ? `: ${bad[0]}: ${bad[1].reason}` : ""}`,
        `npx capstan plugin logs ${name}`,
      );
    if (hosts.length === 0 && waited > REPORTED_MS_MAX)
      return `  no process runs its worlds (${spec.worlds.join(", ")}) now: it will serve when one does`;
    await delay(LOOK_MS);
  }
}
