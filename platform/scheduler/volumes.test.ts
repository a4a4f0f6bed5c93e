import { deepEqual, rejects } from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { PersistentVolumeClaim, Pod } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { createFakeApi, type FakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { createVolumes } from "./volumes.ts";

const CLAIMS = { group: "", version: "v1", resource: "persistentvolumeclaims" };
const storage = (resource: string) => ({ group: "storage.k8s.io", version: "v1", resource });
const DRIVER = "csi.example.com";
const SELECTED_NODE = "volume.kubernetes.io/selected-node";

const create = (api: FakeApi, resource: string, kind: string, object: object) =>
  api.client.create<KubeObject>(storage(resource), {
    apiVersion: "storage.k8s.io/v1",
    kind,
    ...object,
  } as KubeObject);
const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "default" },
  spec: { containers: [], volumes: [{ name: "data", persistentVolumeClaim: { claimName: "c" } }] },
};
const zone = (name: string) => ({ matchLabels: { zone: name } });
const capacity = (name: string, more: object) => ({
  metadata: { name, namespace: "driver" },
  storageClassName: "fast",
  nodeTopology: zone(name),
  ...more,
});

/** A claim for 10Gi of a class whose volumes are made when the pod has a node. */
async function setUp(t: TestContext, storageCapacity: boolean) {
  const api = createFakeApi();
  const stop = new AbortController();
  t.after(() => stop.abort());
  await create(api, "csidrivers", "CSIDriver", { metadata: { name: DRIVER }, spec: { storageCapacity } });
  await create(api, "storageclasses", "StorageClass", {
    metadata: { name: "fast" },
    provisioner: DRIVER,
    volumeBindingMode: "WaitForFirstConsumer",
  });
  await api.client.create<PersistentVolumeClaim>(CLAIMS, {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: "c", namespace: "default" },
    spec: { storageClassName: "fast", resources: { requests: { storage: "10Gi" } } },
  });
  const volumes = createVolumes(api.client, silentLog);
  volumes.on({ volumes: () => undefined, limits: () => undefined });
  await volumes.start(stop.signal);
  return { api, volumes };
}

test("a claim knows where its driver has room for it, by the largest volume or by all that is left", async (t) => {
  const { api, volumes } = await setUp(t, true);
  const room = () => volumes.factsOf(pod)?.[0]?.room;
  deepEqual(room(), []);
  for (const one of [
    capacity("much", { capacity: "100Gi" }),
    capacity("little", { capacity: "1Gi" }),
    capacity("parts", { capacity: "100Gi", maximumVolumeSize: "5Gi" }),
    capacity("exact", { capacity: "1Ti", maximumVolumeSize: "10Gi" }),
    capacity("other", { capacity: "100Gi", storageClassName: "slow" }),
    capacity("nowhere", { capacity: "100Gi", nodeTopology: undefined }),
  ])
    await create(api, "csistoragecapacities", "CSIStorageCapacity", one);
  await until(() => room()?.length === 2);
  deepEqual(room(), [zone("much"), zone("exact")]);
});

test("a driver that says nothing of its room is asked nothing", async (t) => {
  const { volumes } = await setUp(t, false);
  deepEqual(volumes.factsOf(pod)?.[0]?.room, undefined);
});

test("a node that the provisioner takes back is not waited for any longer", async (t) => {
  const { api, volumes } = await setUp(t, true);
  const bound = rejects(volumes.bind(pod, "n1"), { message: 'binding volumes: provisioning failed for PVC "c"' });
  const name = { namespace: "default", name: "c" };
  const selected = async () =>
    (await api.client.get<PersistentVolumeClaim>(CLAIMS, name)).metadata.annotations?.[SELECTED_NODE];
  await until(async () => (await selected()) === "n1");
  await api.client.patch(CLAIMS, name, { type: "merge", body: { metadata: { labels: { seen: "yes" } } } });
  await api.client.patch(CLAIMS, name, {
    type: "merge",
    body: { metadata: { annotations: { [SELECTED_NODE]: null } } },
  });
  await bound;
});
