import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import type { PersistentVolumeClaim, Pod } from "#sdk/api/generated/types.ts";
import { EVENTS } from "#sdk/client/recorder.ts";
import { until } from "#sdk/testing/until.ts";
import { PERSISTENT_VOLUME_CLAIMS, PODS } from "../resources.ts";
import { world } from "../testing/world.ts";
import { ephemeralVolumeController } from "./controller.ts";

const pod = (name: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default" },
  spec: {
    containers: [],
    volumes: [
      { name: "plain", emptyDir: {} },
      {
        name: "scratch",
        ephemeral: {
          volumeClaimTemplate: {
            metadata: { labels: { a: "b" } },
            spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
          },
        },
      },
    ],
  },
});

test("an ephemeral volume's claim belongs to its pod, and comes again when somebody deletes it", async (t) => {
  const { client } = world(t, [ephemeralVolumeController]);
  const claims = async () => (await client.list<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)).items;
  const made = await client.create<Pod>(PODS, pod("web"));
  await until(async () => (await claims()).length === 1);
  const [first] = await claims();
  equal(first?.metadata.name, "web-scratch");
  equal(first?.metadata.ownerReferences?.[0]?.uid, made.metadata.uid);
  deepEqual(first?.metadata.labels, { a: "b" });
  await client.delete(PERSISTENT_VOLUME_CLAIMS, { namespace: "default", name: "web-scratch" });
  await until(async () => (await claims())[0]?.metadata.uid !== first?.metadata.uid && (await claims()).length === 1);
});

test("a claim of that name that is not the pod's is left alone and told", async (t) => {
  const { client } = world(t, [ephemeralVolumeController]);
  await client.create(PERSISTENT_VOLUME_CLAIMS, { metadata: { name: "web-scratch", namespace: "default" }, spec: {} });
  await client.create<Pod>(PODS, pod("web"));
  await until(async () =>
    (await client.list<{ metadata: object; reason?: string }>(EVENTS)).items.some((e) => e.reason === "FailedBinding"),
  );
  equal(
    (await client.list<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)).items[0]?.metadata.ownerReferences,
    undefined,
  );
});
