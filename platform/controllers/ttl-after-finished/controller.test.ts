import { equal } from "node:assert/strict";
import test from "node:test";
import type { Job } from "#sdk/api/generated/types.ts";
import { until } from "#sdk/testing/until.ts";
import { JOBS } from "../resources.ts";
import { world } from "../testing/world.ts";
import { expiresInMs, ttlAfterFinishedController } from "./controller.ts";

const NOW = Date.parse("2026-01-01T00:01:00Z");
const jobOf = (ttl: number | undefined, ended: boolean): Job => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { name: "work", namespace: "default" },
  spec: { template: {}, ttlSecondsAfterFinished: ttl },
  status: {
    conditions: ended ? [{ type: "Failed", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }] : [],
  },
});

test("a job's time counts from its end", () => {
  equal(expiresInMs(jobOf(100, true), NOW), 40_000);
  equal(expiresInMs(jobOf(0, true), NOW), -60_000);
  equal(expiresInMs(jobOf(undefined, true), NOW), undefined);
  equal(expiresInMs(jobOf(100, false), NOW), undefined);
});

test("a job whose time is over is deleted after its pods", async (t) => {
  const api = world(t, [ttlAfterFinishedController]);
  await api.client.create(JOBS, jobOf(0, true));
  await until(async () => (await api.client.list(JOBS)).items[0]?.metadata.finalizers?.[0] === "foregroundDeletion");
});
