/** The reconcile loop: workers that take keys from a queue and bring the world nearer to what the key's object asks. */
import { isReason } from "../api/status.ts";
import { type ClientLog, messageOf } from "./log.ts";
import type { WorkQueue } from "./workqueue.ts";

export interface ControllerOptions {
  name: string;
  queue: WorkQueue;
  workers: number;
  /** Level-based: reads the present state by key ("tenant/namespace/name"). A throw is retried with back-off. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a reconcile that has nothing to say returns nothing
  reconcile(key: string, signal: AbortSignal): Promise<{ requeueAfterMs: number } | void>;
  log: ClientLog;
  signal: AbortSignal;
}

/** Resolves when the signal has aborted and the last reconcile is over. */
export async function runController(options: ControllerOptions): Promise<void> {
  const { queue, signal } = options;
  const stop = () => queue.shutDown();
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  await Promise.all(Array.from({ length: options.workers }, () => work(options)));
}

async function work({ name, queue, reconcile, log, signal }: ControllerOptions): Promise<void> {
  for (;;) {
    const key = await queue.take();
    if (key === undefined) return;
    try {
      const result = await reconcile(key, signal);
      queue.forget(key);
      if (result) queue.addAfter(key, result.requeueAfterMs);
    } catch (error) {
      if (signal.aborted) continue;
      queue.addRateLimited(key);
      // Losing a compare-and-swap is how concurrent writers meet, not something to wake anybody for.
      const routine = isReason(error, "Conflict") || isReason(error, "AlreadyExists");
      const fields = { controller: name, key, error: messageOf(error), failures: queue.failures(key) };
      if (routine) log.debug("a reconcile lost a race and is tried again", fields);
      else log.warn("a reconcile failed and is tried again", fields);
    } finally {
      queue.done(key);
    }
  }
}

export interface KeyParts {
  tenant: string;
  namespace: string;
  name: string;
}

/** Splits "tenant/namespace/name". */
export function splitKey(key: string): KeyParts {
  const [tenant = "", namespace = "", ...name] = key.split("/");
  return { tenant, namespace, name: name.join("/") };
}
