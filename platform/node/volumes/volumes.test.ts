import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { PersistentVolume, PersistentVolumeClaim, Volume } from "#sdk/api/generated/types.ts";
import type { NodeContext, NodePod } from "../context.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { claimedVolume } from "./claims.ts";
import { hostPathOf } from "./host.ts";
import { isMounted, mountOf, parseMounts, unmountBelow } from "./mounts.ts";
import { setOwnership } from "./ownership.ts";
import { createRecords } from "./records.ts";
import { mountSubPath } from "./subpath.ts";

const root = process.getuid?.() === 0 ? false : "needs root";
const made: string[] = [];
const directory = (): string => {
  const path = mkdtempSync(join(tmpdir(), "capstan-volumes-"));
  made.push(path);
  return path;
};
after(async () => {
  for (const path of made) {
    await unmountBelow(path);
    rmSync(path, { recursive: true, force: true });
  }
});

const podOf = (volumes: Volume[], more: object = {}): NodePod => ({
  metadata: { namespace: "default", name: "web", uid: "pod-uid" },
  spec: { containers: [{ name: "main", ...more }], volumes },
});

function apiWith(claim: Partial<PersistentVolumeClaim>, volume: Partial<PersistentVolume["spec"]> | undefined) {
  const api = createFakeApi();
  api.put("persistentvolumeclaims", {
    ...claim,
    metadata: { namespace: "default", name: "data", uid: "claim-uid", ...claim.metadata },
  } as PersistentVolumeClaim);
  if (volume) api.put("persistentvolumes", { metadata: { name: "pv" }, spec: volume } as PersistentVolume);
  return { client: api.client } as NodeContext;
}
const bound = { spec: { volumeName: "pv" }, status: { phase: "Bound" } } as Partial<PersistentVolumeClaim>;
const mine = { claimRef: { uid: "claim-uid" }, local: { path: "/mnt" } } as PersistentVolume["spec"];
const data: Volume = { name: "v", persistentVolumeClaim: { claimName: "data" } };

describe("a pod's claim", () => {
  it("leads to the volume that is bound to it, and to no other", async () => {
    assert.equal((await claimedVolume(apiWith(bound, mine), podOf([data]), data))?.volume.metadata.name, "pv");
    const rejects = async (context: NodeContext, message: RegExp, pod = podOf([data]), volume = data) =>
      await assert.rejects(claimedVolume(context, pod, volume), message);
    await rejects(
      apiWith({ ...bound, status: { phase: "Pending" } }, mine),
      /^Error: error processing PVC default\/data: PVC is not bound$/,
    );
    await rejects(apiWith(bound, undefined), /failed to fetch PV pv from API server: persistentvolumes "pv" not found/);
    await rejects(
      apiWith(bound, { ...mine, claimRef: { uid: "other" } }),
      /unexpected pv.Spec.ClaimRef.UID other \(expected claim-uid\)/,
    );
    const block = podOf([data], { volumeMounts: [{ name: "v", mountPath: "/x" }] });
    await rejects(
      apiWith(bound, { ...mine, volumeMode: "Block" }),
      /volume v has volumeMode Block, but is specified in volumeMounts/,
      block,
    );
  });

  it("of an ephemeral volume is the pod's own, or is not used", async () => {
    const volume: Volume = { name: "data", ephemeral: {} };
    const claim = (uid: string) => ({
      ...bound,
      metadata: {
        name: "web-data",
        namespace: "default",
        ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "web", uid }],
      },
    });
    assert.ok(await claimedVolume(apiWith(claim("pod-uid"), mine), podOf([volume]), volume));
    await assert.rejects(claimedVolume(apiWith(claim("another"), mine), podOf([volume]), volume), /pod is not owner/);
  });
});

it("paths that drivers' manifests know lead into the node's own directory", () => {
  assert.equal(hostPathOf("/var/lib/kubelet/plugins/x", "/data/n1"), "/data/n1/plugins/x");
  assert.equal(hostPathOf("/var/lib/kubelet", "/data/n1"), "/data/n1");
  assert.equal(hostPathOf("/var/lib/kubelet/seccomp", "/data/n1"), "/var/lib/kubelet/seccomp");
  assert.equal(hostPathOf("/var/lib/kubelet-other", "/data/n1"), "/var/lib/kubelet-other");
});

it("mountinfo tells which mount a path is on, and whether it is shared", () => {
  const all = parseMounts(
    "22 1 254:0 / / rw,relatime - ext4 /dev/root rw\n30 22 0:26 / /a\\040b rw shared:7 master:1 - tmpfs tmpfs rw\n31 30 0:27 / /a\\040b/c rw - tmpfs tmpfs rw\n",
  );
  assert.deepEqual(mountOf("/a b/x", all), { path: "/a b", shared: true });
  assert.deepEqual(mountOf("/a b/c/d", all), { path: "/a b/c", shared: false });
  assert.deepEqual(mountOf("/a bc", all), { path: "/", shared: false });
});

it("records of a pod's volumes outlive the process that wrote them", async () => {
  const settings = { directory: directory() } as NodeContext["settings"];
  await createRecords(settings).put("uid", "data", { volume: "pv" });
  assert.deepEqual([...createRecords(settings).all().keys()], ["uid"]);
  await createRecords(settings).remove("uid", "data");
  assert.deepEqual(createRecords(settings).of("uid").size, 0);
});

it("fsGroup gives files and directories to the group, and leaves a volume whose root is right", {
  skip: root,
}, async () => {
  const volume = directory();
  mkdirSync(join(volume, "sub"), { mode: 0o700 });
  writeFileSync(join(volume, "sub/file"), "", { mode: 0o600 });
  symlinkSync("/etc/hostname", join(volume, "link"));
  const before = statSync("/etc/hostname").gid;
  await setOwnership(volume, { group: 1234, readOnly: false, onlyOnRootMismatch: true });
  assert.equal(statSync(join(volume, "sub/file")).gid, 1234);
  assert.equal(statSync(join(volume, "sub/file")).mode & 0o7777, 0o660);
  assert.equal(statSync(join(volume, "sub")).mode & 0o7777, 0o2770);
  assert.equal(statSync("/etc/hostname").gid, before);
  chmodSync(join(volume, "sub/file"), 0o600);
  await setOwnership(volume, { group: 1234, readOnly: false, onlyOnRootMismatch: true });
  assert.equal(statSync(join(volume, "sub/file")).mode & 0o7777, 0o600);
  await setOwnership(volume, { group: 1234, readOnly: false, onlyOnRootMismatch: false });
  assert.equal(statSync(join(volume, "sub/file")).mode & 0o7777, 0o660);
});

describe("a subPath", { skip: root }, () => {
  it("is made as a directory where nothing is, or is the file that is there", async () => {
    const [volume, pod] = [directory(), directory()];
    writeFileSync(join(volume, "file"), "here");
    await writeFile(join(await mountSubPath(volume, "new/deep", join(pod, "0")), "x"), "written");
    assert.equal(await readFile(join(volume, "new/deep/x"), "utf8"), "written");
    assert.equal(await readFile(await mountSubPath(volume, "file", join(pod, "1")), "utf8"), "here");
    // A container that starts again gets the mount anew.
    assert.equal(await readFile(await mountSubPath(volume, "file", join(pod, "1")), "utf8"), "here");
    await unmountBelow(pod);
    assert.equal(isMounted(join(pod, "1")), false);
    assert.ok(existsSync(join(volume, "file")));
  });

  it("never leads out of the volume", async () => {
    const [volume, pod] = [directory(), directory()];
    symlinkSync("/etc", join(volume, "out"));
    symlinkSync("real", join(volume, "inside"));
    mkdirSync(join(volume, "real"));
    await assert.rejects(mountSubPath(volume, "out/ssl", join(pod, "0")), /leads out of the volume/);
    await assert.rejects(mountSubPath(volume, "../x", join(pod, "0")), /must not leave the volume/);
    await assert.rejects(mountSubPath(volume, "/etc", join(pod, "0")), /must not leave the volume/);
    await mountSubPath(volume, "inside", join(pod, "0"));
    assert.equal(isMounted(join(pod, "0")), true);
  });
});
