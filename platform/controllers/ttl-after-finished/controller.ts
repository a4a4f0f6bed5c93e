/** Deletes finished Jobs when their ttlSecondsAfterFinished is over (upstream: pkg/controller/ttlafterfinished). */
import type { Job } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { isTerminating } from "../objects.ts";
import { JOBS } from "../resources.ts";

const WORKERS = 2;

/** Milliseconds until the job is to go; undefined while it is not finished, or is kept. */
export function expiresInMs(job: Job, now: number): number | undefined {
  const ttl = job.spec?.ttlSecondsAfterFinished;
  const end = (job.status?.conditions ?? []).find(
    (c) => (c.type === "Complete" || c.type === "Failed") && c.status === "True",
  );
  if (ttl === undefined || !end || isTerminating(job)) return undefined;
  const at = Date.parse(end.lastTransitionTime ?? "");
  return Number.isNaN(at) ? undefined : at + ttl * 1000 - now;
}

export const ttlAfterFinishedController: Controller = {
  name: "ttl-after-finished",
  async start(context) {
    const queue = createWorkQueue();
    const jobs = context.informers.jobs();
    const add = (job: Job) => queue.add(keyOf(job));
    jobs.on({ added: add, updated: add });
    if (!(await synced(context.signal, jobs))) return;
    await runController({
      name: "ttl-after-finished",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const job = jobs.get(key);
        const inMs = job && expiresInMs(job, Date.now());
        if (!job || inMs === undefined) return;
        if (inMs > 0) return { requeueAfterMs: inMs };
        const { namespace, name = "", uid, resourceVersion } = job.metadata;
        try {
          // Its version too: a time to live that was raised meanwhile must count.
          await clientFor(context, job).delete(
            JOBS,
            { namespace, name },
            { propagationPolicy: "Foreground", preconditions: { uid, resourceVersion } },
          );
        } catch (error) {
          if (!isReason(error, "NotFound")) throw error;
        }
      },
    });
  },
};
