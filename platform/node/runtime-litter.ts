/**
 * What a containerd that was killed leaves and never looks at again: the network namespace of a sandbox that it had not written down
 * yet, and the bundle of a task whose container it has forgotten. Nothing of a pod runs in either.
 */
import { readdirSync, readFileSync } from "node:fs";
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

  const sweepBundles = async (known: ReadonlySet<string>) => {
    for (const id of bundlesLeft(names(bundles).filter((name) => !known.has(name)))) {
      const bundle = join(bundles, id);
      if (lives(bundle) || isMounted(join(bundle, "rootfs"))) continue;
      log.info("removing what the runtime left of a container", { id });
      await rm(bundle, { recursive: true, force: true });
    }
  };

  const namespaceOf = async (sandbox: string): Promise<string> => {
    try {
      return basename((await runtime.podSandboxStatus(sandbox)).netns ?? "");
    } catch (error) {
      if (isRuntimeNotFound(error)) return "";
      throw error;
    }
  };

  /** Sandboxes are asked for theirs only where there are more namespaces than sandboxes. */
  const sweepNamespaces = async (sandboxes: readonly string[]) => {
    const present = names(namespaces);
    if (present.length <= sandboxes.length) return void namespacesLeft([]);
    const used = new Set<string>();
    for (const id of sandboxes) used.add(await namespaceOf(id));
    for (const name of namespacesLeft(present.filter((one) => !used.has(one)))) {
      const path = join(namespaces, name);
      log.info("removing a network namespace that the runtime left", { path });
      if (isMounted(path)) await unmount(path);
      await rm(path, { force: true });
    }
  };

  return async () => {
    const all = observer.uids().map((uid) => observer.get(uid));
    const sandboxes = all.flatMap((one) => one.sandboxes);
    const containers = all.flatMap((one) => one.containers);
    await sweepBundles(new Set([...sandboxes, ...containers].map(({ id }) => id)));
    await sweepNamespaces(sandboxes.map(({ id }) => id));
  };
}
