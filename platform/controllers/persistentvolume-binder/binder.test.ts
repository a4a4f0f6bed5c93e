import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import { findVolume, mismatch } from "#platform/rules/volume-match.ts";
import type { Node, PersistentVolume, PersistentVolumeClaim, StorageClass } from "#sdk/api/generated/types.ts";
import { until } from "#sdk/testing/until.ts";
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from "../resources.ts";
import { world } from "../testing/world.ts";
import { persistentVolumeBinder } from "./controller.ts";
import { BIND_COMPLETED, planClaim, planVolume } from "./reconcile.ts";

const volume = (name: string, storage: string, more: PersistentVolume["spec"] = {}): PersistentVolume => ({
  apiVersion: "v1",
  kind: "PersistentVolume",
  metadata: { name, uid: name, labels: { name } },
  spec: { accessModes: ["ReadWriteOnce"], capacity: { storage }, hostPath: { path: "/tmp/x" }, ...more },
  status: { phase: "Available" },
});
const claim = (name: string, more: PersistentVolumeClaim["spec"] = {}): PersistentVolumeClaim => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name, namespace: "default", uid: `${name}-uid` },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "2Gi" } }, ...more },
  status: { phase: "Pending" },
});
const waiting = (provisioner: string): StorageClass => ({
  metadata: { name: "late" },
  provisioner,
  volumeBindingMode: "WaitForFirstConsumer",
});
const node: Node = { metadata: { name: "n1", labels: { host: "n1" } } };
const only = (host: string) => ({
  nodeAffinity: {
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key: "host", operator: "In", values: [host] }] }] },
  },
});
const nothing = { class: undefined, node: undefined };

test("a claim gets the smallest volume that is large enough, and first what was kept for it", () => {
  const volumes = [volume("large", "9Gi"), volume("fits", "3Gi"), volume("small", "1Gi")];
  equal(findVolume(claim("a"), volumes, undefined)?.metadata.name, "fits");
  equal(
    findVolume(claim("a", { selector: { matchLabels: { name: "large" } } }), volumes, undefined)?.metadata.name,
    "large",
  );
  const kept = volume("kept", "20Gi", { claimRef: { name: "a", namespace: "default" } });
  equal(findVolume(claim("a"), [...volumes, kept], undefined)?.metadata.name, "kept");
  equal(findVolume(claim("b"), [kept], undefined), undefined);
});

test("a volume that cannot serve a claim says why in the original's words", () => {
  equal(mismatch(volume("v", "1Gi"), claim("a")), "requested PV is too small");
  equal(mismatch(volume("v", "2Gi", { storageClassName: "x" }), claim("a")), "storageClassName does not match");
  equal(mismatch(volume("v", "2Gi", { volumeMode: "Block" }), claim("a")), "incompatible volumeMode");
  equal(mismatch(volume("v", "2Gi"), claim("a", { accessModes: ["ReadWriteMany"] })), "incompatible accessMode");
  equal(mismatch(volume("v", "2Gi"), claim("a")), undefined);
});

test("a claim that waits for its first consumer gets a volume that the consumer's node reaches", () => {
  const late = { storageClassName: "late" };
  const volumes = [volume("far", "2Gi", { ...late, ...only("n2") }), volume("near", "5Gi", { ...late, ...only("n1") })];
  const storage = waiting("kubernetes.io/no-provisioner");
  const before = planClaim({ claim: claim("a", late), volumes, class: storage, node: undefined });
  deepEqual([before.event?.reason, before.volume], ["WaitForFirstConsumer", undefined]);
  equal(planClaim({ claim: claim("a", late), volumes, class: storage, node }).claim?.spec?.volumeName, "near");
});

test("without a volume an external provisioner is asked, told the node, and not asked twice", () => {
  const asking = { volumes: [], class: waiting("csi.example.com"), node };
  const plan = planClaim({ claim: claim("a", { storageClassName: "late" }), ...asking });
  deepEqual(plan.claim?.metadata.annotations, {
    "volume.beta.kubernetes.io/storage-provisioner": "csi.example.com",
    "volume.kubernetes.io/storage-provisioner": "csi.example.com",
    "volume.kubernetes.io/selected-node": "n1",
  });
  equal(plan.event?.reason, "ExternalProvisioning");
  equal(planClaim({ claim: plan.claim ?? claim("a"), ...asking }).claim, undefined);
});

test("a claim whose volume is gone, or another's, is lost", () => {
  const bound = claim("a", { volumeName: "v" });
  bound.metadata.annotations = { [BIND_COMPLETED]: "yes" };
  const gone = planClaim({ claim: bound, volumes: [], ...nothing });
  deepEqual([gone.status?.phase, gone.event?.reason], ["Lost", "ClaimLost"]);
  const other = volume("v", "2Gi", { claimRef: { name: "b", namespace: "default", uid: "b-uid" } });
  equal(planClaim({ claim: bound, volumes: [other], ...nothing }).event?.reason, "ClaimMisbound");
});

test("a volume whose claim is gone is released, or failed where nobody can delete it", () => {
  const of = (policy: string, more: PersistentVolume["spec"] = {}) => {
    const claimRef = { name: "a", namespace: "default", uid: "a-uid" };
    const plan = planVolume(
      volume("v", "1Gi", { claimRef, persistentVolumeReclaimPolicy: policy, ...more }),
      undefined,
    );
    return [plan.status?.phase, plan.event?.reason];
  };
  deepEqual(of("Retain"), ["Released", undefined]);
  deepEqual(of("Delete"), ["Failed", "VolumeFailedDelete"]);
  deepEqual(of("Delete", { csi: { driver: "d", volumeHandle: "h" } }), ["Released", undefined]);
  deepEqual(of("Recycle"), ["Failed", "VolumeFailedRecycle"]);
});

test("claims and volumes find each other in their own tenant, each volume once, and a claim's end releases its volume", async (t) => {
  const { client } = world(t, [persistentVolumeBinder]);
  const acme = client.tenant("acme");
  const fresh = <T extends PersistentVolume | PersistentVolumeClaim>({ status: _, ...object }: T) => object;
  const volumes = async () => (await client.list<PersistentVolume>(PERSISTENT_VOLUMES)).items;
  const claims = async () => (await client.list<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)).items;
  await acme.create(PERSISTENT_VOLUMES, fresh(volume("theirs", "2Gi")));
  for (const name of ["a", "b", "c"]) await client.create(PERSISTENT_VOLUME_CLAIMS, fresh(claim(name)));
  for (const name of ["v1", "v2"]) await client.create(PERSISTENT_VOLUMES, fresh(volume(name, "3Gi")));
  await until(async () => (await claims()).filter((c) => c.status?.phase === "Bound").length === 2);
  await until(async () => (await volumes()).every((v) => v.status?.phase === "Bound"));
  const names = (await claims()).flatMap((c) => c.spec?.volumeName ?? []);
  deepEqual(names.toSorted(), ["v1", "v2"]);
  const gone = (await claims()).find((c) => c.spec?.volumeName === "v1")?.metadata.name ?? "";
  await client.delete(PERSISTENT_VOLUME_CLAIMS, { namespace: "default", name: gone });
  await until(async () => (await volumes()).some((v) => v.metadata.name === "v1" && v.status?.phase === "Released"));
  equal((await claims()).filter((c) => c.status?.phase === "Bound").length, 1);
});
