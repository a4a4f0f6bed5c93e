/** Runs a Job's pods to their end and counts them (upstream: pkg/controller/job). */
import { messageOf } from "#platform/base/log.ts";
import type { Job, Pod } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, keyOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { claim } from "../claim.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { createExpectations, type Expectations } from "../expectations.ts";
import { conditionOf, controllerOf, isTerminating, namespaceKey, sameJson } from "../objects.ts";
import { createInBatches, deletePod, isNamespaceTerminating } from "../pods.ts";
import { JOBS, PODS } from "../resources.ts";
import { isTracked, jobPod, TRACKING } from "./pods.ts";
import { isJobFinished, type JobPlan, planJob } from "./reconcile.ts";

const WORKERS = 5;
const CONTROLLER = "kubernetes.io/job-controller";

export const jobController: Controller = {
  name: "job",
  async start(context) {
    const queue = createWorkQueue({ firstRetryMs: 100, lastRetryMs: 60_000 });
    /** Pods that keep the finalizer of a job that is gone. */
    const abandoned = createWorkQueue();
    const expectations = createExpectations();
    const recorder = context.recorder("job-controller");
    const jobs = context.informers.jobs();
    const pods = context.informers.pods();
    /** The version last written: deciding on an older one would count twice. */
    const written = new Map<string, number>();

    const ownerOf = (pod: Pod): Job | undefined => {
      const owner = controllerOf(pod);
      if (owner?.kind !== "Job") return undefined;
      const job = jobs.get(`${namespaceKey(pod)}/${owner.name}`);
      return job?.metadata.uid === owner.uid ? job : undefined;
    };
    const enqueue = (pod: Pod) => {
      const job = ownerOf(pod);
      if (job) queue.add(keyOf(job));
      if (isTracked(pod) && (!job || isJobFinished(job))) abandoned.add(keyOf(pod));
      if (controllerOf(pod)) return;
      for (const other of jobs.list()) {
        const near = namespaceKey(other) === namespaceKey(pod);
        if (near && selectsLabels(other.spec?.selector, pod.metadata.labels)) queue.add(keyOf(other));
      }
    };
    const seen = (pod: Pod, what: "created" | "deleted") => {
      const job = ownerOf(pod);
      if (!job) return;
      if (what === "created") expectations.created(keyOf(job));
      else expectations.deleted(keyOf(job), keyOf(pod));
    };
    const add = (job: Job) => queue.add(keyOf(job));
    jobs.on({
      added: add,
      updated: add,
      deleted(job) {
        expectations.forget(keyOf(job));
        written.delete(keyOf(job));
        for (const pod of pods.byIndex("owner", job.metadata.uid ?? "")) abandoned.add(keyOf(pod));
      },
    });
    pods.on({
      added(pod) {
        seen(pod, "created");
        enqueue(pod);
      },
      updated(pod, old) {
        if (isTerminating(pod)) seen(pod, "deleted");
        if (controllerOf(old)?.uid !== controllerOf(pod)?.uid) enqueue(old);
        enqueue(pod);
      },
      deleted(pod) {
        seen(pod, "deleted");
        enqueue(pod);
      },
    });
    if (!(await synced(context.signal, jobs, pods))) return;

    const counting = runController({
      name: "job",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const job = jobs.get(key);
        if (!job) return expectations.forget(key);
        if (job.spec?.managedBy && job.spec.managedBy !== CONTROLLER) return;
        if (isJobFinished(job) || Number(job.metadata.resourceVersion) < (written.get(key) ?? 0)) return;
        const client = clientFor(context, job);
        const satisfied = expectations.satisfied(key);
        const own = await claim({
          client,
          owner: job,
          ownerResource: JOBS,
          resource: PODS,
          selector: job.spec?.selector,
          candidates: [...pods.byIndex("owner", job.metadata.uid ?? ""), ...pods.byIndex("orphans", namespaceKey(job))],
        });
        const plan = planJob(job, own, satisfied, Date.now());
        const act = { client, job, key, expectations, recorder };
        const failure = await changePods(act, plan);
        if (!sameJson(job.status, plan.status)) {
          const updated = await client.update(JOBS, { ...job, status: plan.status }, { subresource: "status" });
          written.set(key, Number(updated.metadata.resourceVersion));
          tell(recorder, job, updated);
        }
        await Promise.all(plan.release.map((pod) => release(client, pod)));
        if (failure !== undefined) throw failure;
        return plan.recheckMs === undefined ? undefined : { requeueAfterMs: plan.recheckMs };
      },
    });
    const releasing = runController({
      name: "job-orphans",
      queue: abandoned,
      workers: 2,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const pod = pods.get(key);
        const job = pod && ownerOf(pod);
        if (pod && isTracked(pod) && (!job || isJobFinished(job))) await release(clientFor(context, pod), pod);
      },
    });
    await Promise.all([counting, releasing]);
  },
};

interface Act {
  client: Client;
  job: Job;
  key: string;
  expectations: Expectations;
  recorder: Recorder;
}

/** Answers what went wrong, and corrects the plan's count of active pods by what was not made. */
async function changePods(act: Act, plan: JobPlan): Promise<unknown> {
  const { client, job, key, expectations, recorder } = act;
  expectations.expectDeletions(key, plan.remove.map(keyOf));
  const deletions = await Promise.allSettled(
    plan.remove.map(async (pod) => {
      try {
        if (plan.forgetRemoved) await release(client, pod);
        if (await deletePod(client, pod)) {
          recorder.event(job, "Normal", "SuccessfulDelete", `Deleted pod: ${pod.metadata.name}`);
        } else expectations.deleted(key, keyOf(pod));
      } catch (error) {
        expectations.deleted(key, keyOf(pod));
        recorder.event(job, "Warning", "FailedDelete", `Error deleting: ${messageOf(error)}`);
        throw error;
      }
    }),
  );
  const count = plan.create.length;
  expectations.expectCreations(key, count);
  const { missing, errors } = await createInBatches(count, async (i) => {
    const { index, failures } = plan.create[i]!;
    const created = await client.create(PODS, jobPod(job, index, failures));
    recorder.event(job, "Normal", "SuccessfulCreate", `Created pod: ${created.metadata.name}`);
  });
  for (let i = 0; i < missing; i++) expectations.created(key);
  if (missing > 0) {
    const active = (plan.status.active ?? 0) - missing;
    if (active > 0) plan.status.active = active;
    else delete plan.status.active;
  }
  const failed = errors.filter((error) => !isNamespaceTerminating(error));
  for (const error of failed) recorder.event(job, "Warning", "FailedCreate", `Error creating: ${messageOf(error)}`);
  const rejected = deletions.find((result) => result.status === "rejected");
  return failed[0] ?? (rejected?.status === "rejected" ? rejected.reason : undefined);
}

async function release(client: Client, pod: Pod): Promise<void> {
  if (!isTracked(pod)) return;
  const { namespace, name = "", uid, resourceVersion } = pod.metadata;
  const finalizers = (pod.metadata.finalizers ?? []).filter((finalizer) => finalizer !== TRACKING);
  const body = { metadata: { uid, resourceVersion, finalizers: finalizers.length > 0 ? finalizers : null } };
  try {
    await client.patch(PODS, { namespace, name }, { type: "merge", body });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}

function tell(recorder: Recorder, before: Job, after: Job): void {
  const became = (type: string, status: string) => {
    const now = conditionOf(after.status?.conditions, type);
    return now?.status === status && conditionOf(before.status?.conditions, type)?.status !== status ? now : undefined;
  };
  if (became("Suspended", "True")) recorder.event(after, "Normal", "Suspended", "Job suspended");
  if (became("Suspended", "False")) recorder.event(after, "Normal", "Resumed", "Job resumed");
  if (became("Complete", "True")) recorder.event(after, "Normal", "Completed", "Job completed");
  const failed = became("Failed", "True");
  if (failed) recorder.event(after, "Warning", failed.reason ?? "", failed.message ?? "");
}
