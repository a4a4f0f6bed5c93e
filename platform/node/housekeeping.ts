/** What is on the node and belongs to nobody: pods that the API no longer has, dead containers beyond the last, old sandboxes. */
import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Log, messageOf } from "#platform/base/log.ts";
import { TENANT_ANNOTATION } from "#sdk/client/port.ts";
import { logRoot, type NodeContext, type NodePod } from "./context.ts";
import { CONTAINER_NAME, GRACE_PERIOD, type Observation, type Observer } from "./observe.ts";
import { POD_NAME, POD_NAMESPACE, TENANT } from "./sandbox.ts";
import type { VolumeManager } from "./volumes.ts";

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
    for (const container of containers) {
      if (container.state !== "CONTAINER_EXITED") continue;
      if (!kept.has(container.name)) kept.add(container.name);
      else
        await context.runtime
          .removeContainer(container.id)
          .catch((error: unknown) =>
            log.debug("a dead container stays for now", { id: container.id, error: messageOf(error) }),
          );
    }
    for (const sandbox of sandboxes.slice(1)) {
      const used = containers.some((one) => one.podSandboxId === sandbox.id);
      if (sandbox.state === "SANDBOX_NOTREADY" && !used)
        await context.runtime.removePodSandbox(sandbox.id).catch(() => undefined);
    }
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
