/** Makes Jobs at their times (upstream: pkg/controller/cronjob). */
import { timeText } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import type { CronJob, CronJobStatus, Job } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, keyOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { controllerOf, namespaceKey, sameJson } from "../objects.ts";
import { isNamespaceTerminating } from "../pods.ts";
import { CRON_JOBS, JOBS } from "../resources.ts";
import { type CronPlan, jobFor, planCronJob, referenceTo } from "./reconcile.ts";

const WORKERS = 5;

export const cronJobController: Controller = {
  name: "cronjob",
  async start(context) {
    const queue = createWorkQueue({ lastRetryMs: 60_000 });
    const recorder = context.recorder("cronjob-controller");
    const crons = context.informers.cronJobs();
    const jobs = context.informers.jobs();
    /** The version last written: an older one does not know the last start. */
    const written = new Map<string, number>();
    const add = (cron: CronJob) => queue.add(keyOf(cron));
    const enqueueOwner = (job: Job) => {
      const owner = controllerOf(job);
      if (owner?.kind === "CronJob") queue.add(`${namespaceKey(job)}/${owner.name}`);
    };
    crons.on({ added: add, updated: add, deleted: (cron) => void written.delete(keyOf(cron)) });
    jobs.on({ added: enqueueOwner, updated: enqueueOwner, deleted: enqueueOwner });
    if (!(await synced(context.signal, crons, jobs))) return;

    await runController({
      name: "cronjob",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const cron = crons.get(key);
        if (!cron || Number(cron.metadata.resourceVersion) < (written.get(key) ?? 0)) return;
        const client = clientFor(context, cron);
        const plan = planCronJob(cron, jobs.byIndex("owner", cron.metadata.uid ?? ""), Date.now());
        for (const { type, reason, message } of plan.events) recorder.event(cron, type, reason, message);
        const status = await carryOut({ client, cron, recorder }, plan);
        if (!sameJson(cron.status ?? {}, status)) {
          const updated = await client.update(CRON_JOBS, { ...cron, status }, { subresource: "status" });
          written.set(key, Number(updated.metadata.resourceVersion));
        }
        return plan.nextInMs === undefined ? undefined : { requeueAfterMs: plan.nextInMs };
      },
    });
  },
};

interface Act {
  client: Client;
  cron: CronJob;
  recorder: Recorder;
}

async function carryOut(act: Act, plan: CronPlan): Promise<CronJobStatus> {
  for (const job of plan.remove) await remove(act, job.metadata.name ?? "");
  const status = { ...plan.status };
  for (const { name = "", uid } of plan.replace) {
    await remove(act, name);
    const active = (status.active ?? []).filter((reference) => reference.uid !== uid);
    if (active.length > 0) status.active = active;
    else delete status.active;
  }
  if (plan.start === undefined) return status;
  const job = await start(act, plan.start);
  if (!job) return status;
  const active = [...(status.active ?? []).filter((r) => r.uid !== job.metadata.uid), referenceTo(job)];
  return { ...status, active, lastScheduleTime: timeText(plan.start) };
}

/** A job of that time that is there already was made by this loop before it could say so; another's is left alone. */
async function start({ client, cron, recorder }: Act, scheduled: number): Promise<Job | undefined> {
  const wanted = jobFor(cron, scheduled);
  try {
    const job = await client.create(JOBS, wanted);
    recorder.event(cron, "Normal", "SuccessfulCreate", `Created job ${job.metadata.name}`);
    return job;
  } catch (error) {
    if (isReason(error, "AlreadyExists")) {
      const { namespace, name = "" } = wanted.metadata;
      const present = await client.get<Job>(JOBS, { namespace, name });
      return controllerOf(present)?.uid === cron.metadata.uid ? present : undefined;
    }
    if (!isNamespaceTerminating(error)) {
      recorder.event(cron, "Warning", "FailedCreate", `Error creating job: ${messageOf(error)}`);
    }
    throw error;
  }
}

async function remove({ client, cron, recorder }: Act, name: string): Promise<void> {
  try {
    await client.delete(JOBS, { namespace: cron.metadata.namespace, name }, { propagationPolicy: "Background" });
    recorder.event(cron, "Normal", "SuccessfulDelete", `Deleted job ${name}`);
  } catch (error) {
    if (isReason(error, "NotFound")) return;
    recorder.event(cron, "Warning", "FailedDelete", `Deleted job: ${messageOf(error)}`);
    throw error;
  }
}
