/** What this machine has, what it lacks, and how to say so. */
import { existsSync, mkdirSync, readFileSync, statfsSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { findProgram, run } from "./run.ts";
import { type Step, UserError } from "./steps.ts";

/** A Debian package the node needs, known by a file that it brings. */
export interface HostPackage {
  name: string;
  file: string;
  why: string;
}

export const nodePackages: readonly HostPackage[] = [
  { name: "containerd", file: "/usr/bin/containerd", why: "runs containers" },
  { name: "runc", file: "/usr/sbin/runc", why: "runs containers" },
  { name: "containernetworking-plugins", file: "/usr/lib/cni/bridge", why: "pod networks" },
  { name: "nftables", file: "/usr/sbin/nft", why: "services" },
  { name: "conntrack", file: "/usr/sbin/conntrack", why: "services" },
  { name: "iproute2", file: "/usr/sbin/ip", why: "pod networks" },
  { name: "iptables", file: "/usr/sbin/iptables", why: "host ports and masquerading by the CNI programs" },
  { name: "haproxy", file: "/usr/sbin/haproxy", why: "load balancers" },
  { name: "busybox-static", file: "/usr/bin/busybox", why: "sandbox and example images" },
];

export const isRoot = (): boolean => process.getuid?.() === 0;

const present = (p: HostPackage) => existsSync(p.file) || existsSync(p.file.replace(/^\/usr/, ""));
export const missingPackages = (): HostPackage[] => nodePackages.filter((p) => !present(p));

/** Why no node can run here; undefined when one can (after installing packages). */
export function nodeImpossible(): string | undefined {
  if (process.platform !== "linux") return `a node needs Linux; this is ${process.platform}`;
  if (!isRoot()) return "a node needs root (containers, network namespaces, nftables); run `sudo npm run up` for one";
  if (missingPackages().length > 0 && !findProgram("apt-get"))
    return `this machine has no apt-get to install ${missingPackages()
      .map((p) => p.name)
      .join(", ")} with; install them and run \`npm run up\` again`;
  return undefined;
}

const addedFile = (dataDir: string) => join(dataDir, "added-packages.json");

/** The Debian packages that `up` added to this machine. */
export function addedPackages(dataDir: string): string[] {
  return existsSync(addedFile(dataDir)) ? (JSON.parse(readFileSync(addedFile(dataDir), "utf8")) as string[]) : [];
}

/** Installs Debian packages and writes down which ones `uninstall` has to name. Services they bring are not started. */
export async function installPackages(dataDir: string, names: readonly string[], on: Step): Promise<void> {
  if (names.length === 0) return;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const apt = async (args: string[]) =>
    run("apt-get", args, { env, onLine: (line) => on.progress(line.slice(0, 100)) });
  await apt(["update", "-q"]);
  const before = await installedNames();
  const result = await apt(["install", "-y", "-q", "--no-install-recommends", ...names]);
  if (result.code !== 0)
    throw new UserError(
      `apt-get could not install ${names.join(", ")}: ${result.stderr.trim().split("\n").slice(-3).join(" ")}`,
      `apt-get install ${names.join(" ")}   # then: npm run up`,
    );
  const added = (await installedNames()).filter((name) => !before.includes(name));
  mkdirSync(dirname(addedFile(dataDir)), { recursive: true });
  writeFileSync(
    addedFile(dataDir),
    JSON.stringify([...new Set([...addedPackages(dataDir), ...added])].sort(), null, 1),
  );
}

async function installedNames(): Promise<string[]> {
  const { stdout } = await run("sh", [
    "-c",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: placeholders of dpkg-query
    "dpkg-query -W -f '${db:Status-Abbrev}${Package}\\n' | sed -n 's/^ii //p' | tail -c 60000",
  ]);
  return stdout.split("\n").filter(Boolean);
}

const DISK_FREE_BYTES_MIN = 1024 ** 3;

/** Refuses a start that would fail later for want of space. */
export function checkDisk(dataDir: string): void {
  const { bavail, bsize } = statfsSync(dataDir);
  if (bavail * bsize < DISK_FREE_BYTES_MIN)
    throw new UserError(
      `${dataDir} has ${Math.round((bavail * bsize) / 1024 ** 2)} MiB free; Capstan needs 1 GiB to start`,
      `free some space, or choose another disk: npm run up -- --data-dir PATH`,
    );
}

/** Refuses a port that somebody else listens on. `instanceWith` is asked for the data directory of another Capstan that has it. */
export async function checkPort(
  host: string,
  port: number,
  option: string,
  instanceWith: () => string | undefined,
): Promise<void> {
  const failure = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
  if (!failure) return;
  const instead = `npm run up -- ${option} ${port + 1000}`;
  if (failure.code !== "EADDRINUSE")
    throw new UserError(`port ${port} on ${host} cannot be used: ${failure.message}`, instead);
  const dataDir = instanceWith();
  throw dataDir === undefined
    ? new UserError(
        `port ${port} on ${host} is taken by another program`,
        `${instead}   # or find out who has it: ss -ltnp 'sport = :${port}'`,
      )
    : new UserError(
        `port ${port} on ${host} is taken by another Capstan, whose data is in ${dataDir}`,
        `${instead}   # or stop the other: npm run down -- --data-dir ${dataDir}`,
      );
}
