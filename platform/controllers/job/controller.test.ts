import { deepEqual, equal } from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { Job, JobSpec, Pod, PodStatus } from "#sdk/api/generated/types.ts";
import type { FakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { JOBS } from "../resources.ts";
import { type Fate, podsIn, runPods, world } from "../testing/world.ts";
import { jobController } from "./controller.ts";
import { formatIndexes, parseIndexes } from "./indexes.ts";

const name = { namespace: "default", name: "work" };
const succeeded: PodStatus = { phase: "Succeeded" };
const running: PodStatus = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
/** Long ago, so that no delay keeps its successor waiting. */
const failed = (exitCode = 1): PodStatus => ({
  phase: "Failed",
  containerStatuses: [
    {
      name: "c",
      image: "",
      imageID: "",
      ready: false,
      restartCount: 0,
      state: { terminated: { exitCode, finishedAt: "2020-01-01T00:00:00Z" } },
    },
  ],
});
const indexOf = (pod: Pod) => Number(pod.metadata.annotations?.["batch.kubernetes.io/job-completion-index"]);

const setUp = (t: TestContext, fate: Fate): FakeApi => {
  const api = world(t, [jobController]);
  runPods(t, api, fate);
  return api;
};
const make = (api: FakeApi, spec: Partial<JobSpec>) =>
  api.client.create<Job>(JOBS, {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: name,
    spec: {
      parallelism: 1,
      backoffLimit: 6,
      selector: { matchLabels: { job: "work" } },
      template: {
        metadata: { labels: { job: "work" } },
        spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] },
      },
      ...spec,
    },
  });
const get = (api: FakeApi) => api.client.get<Job>(JOBS, name);
const condition = async (api: FakeApi, type: string) =>
  (await get(api)).status?.conditions?.find((c) => c.type === type);
const ends = (api: FakeApi, type: "Complete" | "Failed") =>
  until(async () => (await condition(api, type))?.status === "True");

test("a job runs its completions, no more at once than its parallelism, and counts each pod once", async (t) => {
  const api = setUp(t, () => succeeded);
  await make(api, { completions: 5, parallelism: 2 });
  await ends(api, "Complete");
  const { status } = await get(api);
  equal(status?.succeeded, 5);
  equal(status?.active, undefined);
  deepEqual(status?.uncountedTerminatedPods, {});
  deepEqual(
    status?.conditions?.map((c) => [c.type, c.reason]),
    [
      ["SuccessCriteriaMet", "CompletionsReached"],
      ["Complete", "CompletionsReached"],
    ],
  );
  const pods = await podsIn(api);
  equal(pods.length, 5);
  equal(pods.filter((pod) => pod.metadata.finalizers?.length).length, 0);
});

test("failures beyond backoffLimit end the job", async (t) => {
  const api = setUp(t, () => failed());
  await make(api, { completions: 3, backoffLimit: 0 });
  await ends(api, "Failed");
  const { status } = await get(api);
  equal(status?.failed, 1);
  equal(status?.conditions?.at(-1)?.reason, "BackoffLimitExceeded");
});

test("an indexed job with a limit per index runs all indexes although some fail", async (t) => {
  const api = setUp(t, (pod) => (indexOf(pod) % 2 === 0 ? failed() : succeeded));
  await make(api, {
    completionMode: "Indexed",
    completions: 4,
    parallelism: 2,
    backoffLimitPerIndex: 1,
    backoffLimit: 99,
  });
  await ends(api, "Failed");
  const { status } = await get(api);
  deepEqual([status?.completedIndexes, status?.failedIndexes, status?.failed, status?.succeeded], ["1,3", "0,2", 4, 2]);
  equal(status?.conditions?.at(-1)?.reason, "FailedIndexes");
});

test("podFailurePolicy: FailJob by exit code, FailIndex, Ignore", async (t) => {
  const api = setUp(t, (pod) => (indexOf(pod) === 0 ? failed(42) : succeeded));
  const onExitCodes = { operator: "In", values: [42] };
  await make(api, {
    completionMode: "Indexed",
    completions: 2,
    parallelism: 2,
    backoffLimitPerIndex: 3,
    podFailurePolicy: { rules: [{ action: "FailIndex", onExitCodes }] },
  });
  await ends(api, "Failed");
  const { status } = await get(api);
  deepEqual([status?.completedIndexes, status?.failedIndexes, status?.failed], ["1", "0", 1]);

  const other = setUp(t, (pod) => (indexOf(pod) === 0 ? failed(42) : running));
  await make(other, {
    completionMode: "Indexed",
    completions: 2,
    parallelism: 2,
    podFailurePolicy: { rules: [{ action: "FailJob", onExitCodes }] },
  });
  await ends(other, "Failed");
  const [pod] = (await podsIn(other)).filter((p) => indexOf(p) === 0);
  equal(
    (await condition(other, "Failed"))?.message,
    `Container c for pod default/${pod?.metadata.name} failed with exit code 42 matching FailJob rule at index 0`,
  );
});

test("successPolicy ends the job and the pods that still run", async (t) => {
  const api = setUp(t, (pod) => (indexOf(pod) === 0 ? succeeded : running));
  const successPolicy = { rules: [{ succeededIndexes: "0,2-3", succeededCount: 1 }] };
  await make(api, { completionMode: "Indexed", completions: 3, parallelism: 3, successPolicy });
  await ends(api, "Complete");
  const { status } = await get(api);
  deepEqual([status?.completedIndexes, status?.succeeded], ["0", 1]);
  deepEqual(
    status?.conditions?.map((c) => [c.type, c.reason, c.message]),
    [
      ["SuccessCriteriaMet", "SuccessPolicy", "Matched rules at index 0"],
      ["Complete", "SuccessPolicy", "Matched rules at index 0"],
    ],
  );
  deepEqual((await podsIn(api)).map(indexOf), [0]);
});

test("a suspended job has no pods, and starts anew when it is resumed", async (t) => {
  const api = setUp(t, () => running);
  await make(api, { completions: 2, parallelism: 2, suspend: true });
  await until(async () => (await condition(api, "Suspended"))?.status === "True");
  equal((await podsIn(api)).length, 0);
  equal((await get(api)).status?.startTime, undefined);
  await api.client.patch(JOBS, name, { type: "merge", body: { spec: { suspend: false } } });
  await until(async () => (await podsIn(api)).length === 2 && (await condition(api, "Suspended"))?.status === "False");
  await api.client.patch(JOBS, name, { type: "merge", body: { spec: { suspend: true } } });
  await until(async () => (await podsIn(api)).length === 0 && (await condition(api, "Suspended"))?.status === "True");
});

test("pods of a job that is gone lose its finalizer", async (t) => {
  const api = setUp(t, () => running);
  await make(api, { completions: 1 });
  await until(async () => (await podsIn(api)).length === 1);
  await api.client.delete(JOBS, name);
  await until(async () => !(await podsIn(api))[0]?.metadata.finalizers?.length);
});

test("indexes are written as intervals", () => {
  for (const text of ["", "0", "0,1", "0-2", "1,3-5,7,9,10"]) equal(formatIndexes(parseIndexes(text, 100)), text);
  deepEqual([...parseIndexes("1-9,x,12", 4)], [1, 2, 3]);
});
