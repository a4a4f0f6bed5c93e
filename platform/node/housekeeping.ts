/** What is on the node and belongs to nobody: pods that the API no longer has, dead containers beyond the last, old sandboxes. */
import { readdirSync } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Log, messageOf } from "#platform/base/log.ts";
import { TENANT_ANNOTATION } from "#sdk/client/port.ts";
import { logRoot, type NodeContext, type NodePod, podLogDirectory } from "./context.ts";
import { CONTAINER_NAME, GRACE_PERIOD, type Observation, type Observer } from "./observe.ts";
import { POD_NAME, POD_NAMESPACE, TENANT } from "./sandbox.ts";
import type { VolumeManager } from "./volumes/manager.ts";

/** The most that labels say about a pod whose object is gone: enough to take it down. */
export function orphanPod(uid: string, seen: Observation): NodePod | undefined {
  const one = seen.sandboxes[0] ?? seen.containers[0];
  const name = one?.labels?.[POD_NAME];
  const namespace = one?.labels?.[POD_NAMESPACE];
  if (name === undefined || namespace === undefined) return undefined;
  const grace = Number(seen.containers[0]?.annotations?.[GRACE_PERIOD] ?? 30);
  const names = [...new Set(seen.containers.map((container) => container.labels?.[CONTAINER_NAME] ?? container.name))];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, uid, annotations: { [TENANT_ANNOTATION]: one?.labels?.[TENANT] ?? "root" } },
    spec: { containers: names.map((container) => ({ name: container })), terminationGracePeriodSeconds: grace },
  };
}

/** Keeps, of each container's dead, the newest (its log is what `kubectl logs --previous` shows), and the newest sandbox. */
export async function collectDead(context: NodeContext, observer: Observer, log: Log): Promise<void> {
  for (const uid of observer.uids()) {
    const { sandboxes, containers } = observer.get(uid);
    const kept = new Set<string>();
    let removed = false;
    for (const container of containers) {
      if (container.state !== "CONTAINER_EXITED") continue;
      if (!kept.has(container.name)) kept.add(container.name);
      else {
        removed = true;
        await context.runtime
          .removeContainer(container.id)
          .catch((error: unknown) =>
            log.debug("a dead container stays for now", { id: container.id, error: messageOf(error) }),
          );
      }
    }
    for (const sandbox of sandboxes.slice(1)) {
      const used = containers.some((one) => one.podSandboxId === sandbox.id);
      if (sandbox.state !== "SANDBOX_NOTREADY" || used) continue;
      removed = true;
      await context.runtime.removePodSandbox(sandbox.id).catch(() => undefined);
    }
    if (removed) await observer.refreshPod(uid);
  }
}

/** The kubelet's containerLogMaxSize and containerLogMaxFiles. */
export const LOG_BYTES_MAX = 10 << 20;
export const LOG_FILES_MAX = 5;

/** A running container's log that has grown too large is put aside, and the oldest of those put aside is removed. */
export async function rotateLogs(context: NodeContext, observer: Observer, pods: readonly NodePod[]): Promise<void> {
  for (const pod of pods)
    for (const { id, name, attempt, state } of observer.get(pod.metadata.uid).containers) {
      if (state !== "CONTAINER_RUNNING") continue;
      const directory = join(podLogDirectory(context.settings, pod), name);
      const file = `${attempt}.log`;
      const size = await stat(join(directory, file)).then(
        (info) => info.size,
        () => 0,
      );
      if (size < LOG_BYTES_MAX) continue;
      const stamp = new Date(context.clock.now()).toISOString().replace(/[-:]/g, "").slice(0, 15);
      await rename(join(directory, file), join(directory, `${file}.${stamp}`));
      await context.runtime.reopenContainerLog(id);
      const old = names(directory)
        .filter((one) => one.startsWith(`${file}.`))
        .sort();
      for (const one of old.slice(0, Math.max(0, old.length - LOG_FILES_MAX + 1))) await rm(join(directory, one));
    }
}

const names = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};

/** Directories and logs of pods that neither the API nor the runtime knows. */
export async function removeLeftovers(
  context: NodeContext,
  volumes: VolumeManager,
  known: (uid: string) => boolean,
): Promise<void> {
  for (const uid of names(join(context.settings.directory, "pods"))) if (!known(uid)) await volumes.remove(uid);
  for (const name of names(logRoot(context.settings))) {
    const uid = name.slice(name.lastIndexOf("_") + 1);
    if (!known(uid)) await rm(join(logRoot(context.settings), name), { recursive: true, force: true });
  }
}
