import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolume, PersistentVolumeClaim } from "#sdk/api/generated/types.ts";
import type { Client } from "#sdk/client/port.ts";
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from "../resources.ts";
import { converges } from "../testing/converge.ts";
import { volumeExpandController } from "./controller.ts";
import { expansionOf, grownStatus } from "./reconcile.ts";

const claim = (asked: string, has: string, phase = "Bound"): PersistentVolumeClaim => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name: "data", namespace: "default", uid: "u" },
  spec: { volumeName: "pv", resources: { requests: { storage: asked } } },
  status: { phase, capacity: { storage: has } },
});
const volume = (source: object): PersistentVolume => ({
  apiVersion: "v1",
  kind: "PersistentVolume",
  metadata: { name: "pv" },
  spec: { capacity: { storage: "1Gi" }, claimRef: { namespace: "default", name: "data", uid: "u" }, ...source },
});
const HOST = { hostPath: { path: "/x" } };
const CSI = { csi: { driver: "d", volumeHandle: "h" } };

test("what asks for more is expanded here, or by its driver", () => {
  deepEqual(expansionOf(claim("2Gi", "1Gi"), volume(HOST)), { by: "loop", size: "2Gi" });
  deepEqual(expansionOf(claim("2Gi", "1Gi"), volume(CSI)), { by: "driver" });
  deepEqual(expansionOf(claim("1024Mi", "1Gi"), volume(HOST)), { by: "nobody" });
  deepEqual(expansionOf(claim("2Gi", "1Gi", "Pending"), volume(HOST)), { by: "nobody" });
  deepEqual(expansionOf(claim("2Gi", "1Gi"), volume({ ...HOST, claimRef: { uid: "other" } })), { by: "nobody" });
});

test("a claim that has grown is no longer being resized", () => {
  const status = { conditions: [{ type: "Resizing", status: "True" }], allocatedResources: { storage: "2Gi" } };
  deepEqual(grownStatus({ ...claim("2Gi", "1Gi"), status }, "2Gi"), { capacity: { storage: "2Gi" } });
});

test("volume and claim come to the size that was asked for, whatever happens on the way", async (t) => {
  await converges(t, {
    loops: [volumeExpandController],
    steps: [
      async (client: Client) => {
        await client.create(PERSISTENT_VOLUMES, volume(HOST));
        await client.create(PERSISTENT_VOLUME_CLAIMS, claim("1Gi", "1Gi"));
        const spec = { resources: { requests: { storage: "3Gi" } } };
        const name = { namespace: "default", name: "data" };
        await client.patch(PERSISTENT_VOLUME_CLAIMS, name, { type: "merge", body: { spec } });
      },
      (client: Client) => client.create(PERSISTENT_VOLUMES, { ...volume(CSI), metadata: { name: "other" } }),
    ],
    async view(client) {
      const [first] = (await client.list<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)).items;
      const volumes = (await client.list<PersistentVolume>(PERSISTENT_VOLUMES)).items;
      return [first?.status?.capacity, volumes.map((v) => v.spec?.capacity?.["storage"]).sort()];
    },
    expected: [{ storage: "3Gi" }, ["1Gi", "3Gi"]],
  });
});
