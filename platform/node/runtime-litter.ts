/**
 * What a containerd that was killed leaves and never looks at again: the network namespace of a sandbox that it had not written down
 * yet, the shim that it had just started for one, and the bundle of a task whose container it has forgotten. Nothing of a pod runs in them.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { NodeContext } from "./context.ts";
import type { Observer } from "./observe.ts";
import { isRuntimeNotFound } from "./ports.ts";
import { isMounted, unmount } from "./volumes/mounts.ts";

/** Longer than a sandbox is under way before it can be listed. */
const UNCLAIMED_MS = 60_000;

const names = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return []; // no containers here, or none yet
  }
};

/** Tells of names that nobody claimed those that nobody has claimed for a while. */
function patience(now: () => number): (unclaimed: readonly string[]) => string[] {
  const since = new Map<string, number>();
  return (unclaimed) => {
    const present = new Set(unclaimed);
    for (const name of since.keys()) if (!present.has(name)) since.delete(name);
    for (const name of unclaimed) if (!since.has(name)) since.set(name, now());
    return unclaimed.filter((name) => now() - (since.get(name) ?? now()) >= UNCLAIMED_MS);
  };
}

/** Whether a bundle's first process lives. */
function lives(bundle: string): boolean {
  try {
    process.kill(Number(readFileSync(join(bundle, "init.pid"), "utf8")), 0);
    return true;
  } catch {
    return false;
  }
}

/** Shims of the containerd whose socket is below `directory`, and the sandboxes they were started for. */
function shimsOf(directory: string): { pid: number; id: string }[] {
  return names("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    let words: string[];
    try {
      words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
    } catch {
      return []; // it has ended
    }
    const value = (option: string) => words[words.indexOf(option) + 1] ?? "";
    if (!basename(words[0] ?? "").startsWith("containerd-shim")) return [];
    return value("-address").startsWith(`${directory}/`) ? [{ pid: Number(name), id: value("-id") }] : [];
  });
}

/** To be called now and then. Rejects when the runtime does not answer. */
export function createLitterSweep(
  { settings, runtime, clock, log }: Pick<NodeContext, "settings" | "runtime" | "clock" | "log">,
  observer: Observer,
): () => Promise<void> {
  const state = join(settings.directory, "containerd/state");
  const bundles = join(state, "io.containerd.runtime.v2.task/k8s.io");
  const namespaces = join(state, "io.containerd.grpc.v1.cri/netns");
  const bundlesLeft = patience(clock.now);
  const namespacesLeft = patience(clock.now);
  const shimsLeft = patience(clock.now);

  const sweepBundles = async (known: ReadonlySet<string>) => {
    for (const id of bundlesLeft(names(bundles).filter((name) => !known.has(name)))) {
      const bundle = join(bundles, id);
      if (lives(bundle) || isMounted(join(bundle, "rootfs"))) continue;
      log.info("removing what the runtime left of a container", { id });
      await rm(bundle, { recursive: true, force: true });
    }
  };

  /** By sandbox; asked once, it never changes. */
  const namespaceOf = new Map<string, string>();

  const learn = async (sandbox: string) => {
    try {
      namespaceOf.set(sandbox, basename((await runtime.podSandboxStatus(sandbox)).netns ?? ""));
    } catch (error) {
      if (!isRuntimeNotFound(error)) throw error;
    }
  };

  const sweepNamespaces = async (sandboxes: ReadonlySet<string>) => {
    for (const id of namespaceOf.keys()) if (!sandboxes.has(id)) namespaceOf.delete(id);
    for (const id of sandboxes) if (!namespaceOf.has(id)) await learn(id);
    const used = new Set(namespaceOf.values());
    for (const name of namespacesLeft(names(namespaces).filter((one) => !used.has(one)))) {
      const path = join(namespaces, name);
      log.info("removing a network namespace that the runtime left", { path });
      if (isMounted(path)) await unmount(path);
      await rm(path, { force: true });
    }
  };

  /** One that was started for a sandbox that never came to be waits for orders from nobody. */
  const sweepShims = (known: ReadonlySet<string>) => {
    const bundled = new Set(names(bundles));
    const shims = new Map(shimsOf(settings.directory).map((one) => [one.id, one.pid]));
    for (const id of shimsLeft([...shims.keys()].filter((one) => !known.has(one) && !bundled.has(one)))) {
      const pid = shims.get(id);
      if (pid === undefined) continue;
      log.info("ending a shim that the runtime left", { id, pid });
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
  };

  return async () => {
    if (!existsSync(state)) return; // a node of components alone
    const all = observer.uids().map((uid) => observer.get(uid));
    const sandboxes = all.flatMap((one) => one.sandboxes);
    const containers = all.flatMap((one) => one.containers);
    const known = new Set([...sandboxes, ...containers].map(({ id }) => id));
    await sweepBundles(known);
    sweepShims(known);
    await sweepNamespaces(new Set(sandboxes.map(({ id }) => id)));
  };
}
