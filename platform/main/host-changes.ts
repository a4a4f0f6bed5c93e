/** What an instance changes on the host outside its data directory: said before, written down, taken back by `uninstall` and `reset`. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type HostChange, undoHostChanges } from "#db/host.ts";
import {
  hostChanges as networkChanges,
  undoHostChanges as undoNetworkChanges,
} from "#platform/network/host/changes.ts";
import { removeHostPorts } from "#platform/network/host/host-ports.ts";
import { pluginTablePrefix } from "#platform/plugin-host/capabilities/net.ts";
import type { Family } from "#platform/rules/ranges.ts";
import { type Config, paths } from "./config.ts";
import { describeDatabaseChange, plannedDatabaseChanges } from "./database.ts";
import { isRoot, missingPackages } from "./host.ts";
import { removeNodeNetworks } from "./nodes.ts";
import { run } from "./run.ts";
import { otherClaims, releaseClaim } from "./settings.ts";
import { removeComponentNamespaces } from "./wasm-namespaces.ts";

const CGROUPS = "/sys/fs/cgroup";
/** Where containerd's CNI library remembers the placeholder network of each sandbox. */
const CNI_CACHE = "/var/lib/cni/results";

const file = (dataDir: string) => join(dataDir, "host-changes.json");

const recorded = (dataDir: string): HostChange[] =>
  existsSync(file(dataDir)) ? (JSON.parse(readFileSync(file(dataDir), "utf8")) as HostChange[]) : [];

export function recordDatabaseChanges(dataDir: string, changes: HostChange[]): void {
  if (changes.length === 0) return;
  const known = recorded(dataDir);
  const added = changes.filter((c) => !known.some((k) => JSON.stringify(k) === JSON.stringify(c)));
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(file(dataDir), JSON.stringify([...known, ...added], null, 1));
}

/** For people, before anything happens. `nodes` is how many there will be. */
export function hostChanges(
  dataDir: string,
  instance: string,
  nodes: number,
  families: readonly Family[] = ["IPv4"],
): string[] {
  const packages = nodes > 0 ? missingPackages().map((p) => p.name) : [];
  return [
    ...(packages.length ? [`Debian packages: ${packages.join(" ")}`] : []),
    ...plannedDatabaseChanges(dataDir),
    ...(nodes > 0 ? networkChanges({ instance, nodes, families }) : []),
    ...(nodes > 0 ? [`cgroups named capstan-${instance}-NODE, with those of the pods in them`] : []),
  ];
}

/** Takes everything back; one line for each thing that was there. Only when nothing of the instance runs any more. */
export async function undoHost(config: Config): Promise<string[]> {
  const { dataDir, instance } = config;
  const lines = isRoot()
    ? [
        ...((await releaseHostPorts(config)) ? ["iptables rules for host ports of pods are removed"] : []),
        ...forgetSandboxes(config),
        ...(await removeComponentNamespaces(instance)),
        ...(await removeNodeNetworks(config)),
        ...(await undoNetworkChanges({ instance, dataDir })),
        ...(await removePluginTables(dataDir)),
        ...(await unmountBelow(dataDir)),
        ...removeCgroups(config),
      ]
    : [];
  // The system user is every instance's.
  const shared = otherClaims(instance).length > 0;
  const database = recorded(dataDir).filter((change) => change.type !== "user" || !shared);
  await undoHostChanges(database);
  rmSync(file(dataDir), { force: true });
  releaseClaim(instance);
  return [...lines, ...database.map((c) => describeDatabaseChange(c)).map((text) => `${text}: removed`)];
}

/** Sandboxes that the network component has connected and not disconnected since. */
function connected({ dataDir, nodes }: Config): string[] {
  const folders = nodes.map(({ name }) => join(paths(dataDir).node(name), "cni", "results")).filter(existsSync);
  return folders.flatMap((folder) => readdirSync(folder)).map((name) => name.split("@")[0] ?? "");
}

/** Host ports of pods that do not run any more are free for others. A node in a namespace of its own has its rules there. */
export const releaseHostPorts = (config: Config): Promise<boolean> =>
  removeHostPorts(new Set(connected({ ...config, nodes: config.nodes.filter((node) => !node.netns) })));

function forgetSandboxes(config: Config): string[] {
  const ids = new Set(connected(config));
  const files = existsSync(CNI_CACHE) ? readdirSync(CNI_CACHE) : [];
  const ours = files.filter((name) => ids.has(/-([0-9a-f]{64})-[^-]+$/.exec(name)?.[1] ?? ""));
  for (const name of ours) rmSync(join(CNI_CACHE, name), { force: true });
  return ours.length ? [`${ours.length} files of pods in ${CNI_CACHE} are removed`] : [];
}

/** Tables of plugins that were granted `net`. */
async function removePluginTables(dataDir: string): Promise<string[]> {
  const listed = await run("nft", ["list", "tables", "inet"]);
  const names = listed.stdout.split("\n").map((line) => line.split(" ").at(-1) ?? "");
  const ours = names.filter((name) => name.startsWith(pluginTablePrefix(dataDir)));
  for (const name of ours) await run("nft", ["delete", "table", "inet", name]);
  return ours.map((name) => `nftables table inet ${name} (a plugin's) is removed`);
}

/** Mounts that pods' sandboxes and volumes left below the data directory, the innermost first. */
async function unmountBelow(dataDir: string): Promise<string[]> {
  const targets = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((target) => target.startsWith(`${dataDir}/`))
    .reverse();
  for (const target of targets) await run("umount", ["-l", target]);
  return targets.length ? [`${targets.length} mounts below ${dataDir} are removed`] : [];
}

/** The nodes' cgroups, which are empty by now: each hierarchy of v1, or the one of v2; innermost first, as rmdir wants it. */
function removeCgroups({ instance, nodes }: Config): string[] {
  const roots = nodes.map((node) => `capstan-${instance}-${node.name}`);
  const hierarchies = ["", ...readdirSync(CGROUPS)].map((name) => join(CGROUPS, name));
  const found = hierarchies
    .flatMap((hierarchy) => roots.map((root) => join(hierarchy, root)))
    .filter((path) => existsSync(path));
  for (const path of found) removeTree(path);
  return found.length ? [`${found.length} cgroups are removed`] : [];
}

function removeTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(path, entry.name));
  rmdirSync(path);
}
