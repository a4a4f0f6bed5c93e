/** The original CSI driver on a node of ours, from a claim to the last file removed. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";
import {
  buildDriver,
  DRIVER_NAME,
  driverImpossible,
  type HostpathDriver,
  snapshotDefinitions,
  startHostpathDriver,
} from "./hostpath-driver.ts";

const CLASS = "csi-hostpath";

describe("csi-driver-host-path", {
  skip: skipWithoutNode || ((await driverImpossible()) ?? false),
  timeout: 1_500_000,
}, () => {
  const directory = mkdtempSync(join(tmpdir(), "chp-"));
  let capstan: Instance;
  let driver: HostpathDriver;
  let nodeDirectory: string;
  let applied = 0;

  const apply = async (...objects: object[]) => {
    const file = join(directory, `apply-${applied++}.json`);
    writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
    await capstan.kubectl("apply", "-f", file);
  };
  const says = (kind: string, name: string, path: string) =>
    capstan.kubectl("get", kind, name, "-o", `jsonpath={${path}}`);
  const until = (kind: string, name: string, path: string, value: string) =>
    eventually(`${path} of ${kind} ${name} is ${value}`, async () => {
      const said = await says(kind, name, path);
      if (said !== value) throw new Error(`it is ${said}`);
      return true;
    });
  const claim = (name: string, more: object = {}) => ({
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name },
    spec: {
      accessModes: ["ReadWriteOnce"],
      storageClassName: CLASS,
      resources: { requests: { storage: "1Mi" } },
      ...more,
    },
  });
  const pod = (name: string, command: string, volume: object) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: "main",
          image: "busybox",
          imagePullPolicy: "IfNotPresent",
          command: ["sh", "-c", command],
          volumeMounts: [{ name: "data", mountPath: "/data" }],
        },
      ],
      volumes: [{ name: "data", ...volume }],
    },
  });
  const of = (claimName: string) => ({ persistentVolumeClaim: { claimName } });
  /** Runs a pod to its end; answers what it wrote. */
  const runs = async (name: string, command: string, volume: object): Promise<string> => {
    await apply(pod(name, command, volume));
    await until("pod", name, ".status.phase", "Succeeded");
    return await capstan.kubectl("logs", name);
  };
  const mounts = () =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(nodeDirectory) && line.includes("/volumes/data/mount "));

  before(async () => {
    await buildDriver();
    capstan = await startInstance({ nodes: 1 });
    const nodeName = (await capstan.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")).trim();
    nodeDirectory = join(capstan.dataDir, "nodes", nodeName);
    for (const file of await snapshotDefinitions()) await capstan.kubectl("apply", "--server-side", "-f", file);
    await apply(
      {
        apiVersion: "storage.k8s.io/v1",
        kind: "CSIDriver",
        metadata: { name: DRIVER_NAME },
        spec: {
          attachRequired: true,
          podInfoOnMount: true,
          fsGroupPolicy: "File",
          volumeLifecycleModes: ["Persistent", "Ephemeral"],
        },
      },
      {
        apiVersion: "storage.k8s.io/v1",
        kind: "StorageClass",
        metadata: { name: CLASS },
        provisioner: DRIVER_NAME,
        reclaimPolicy: "Delete",
        volumeBindingMode: "WaitForFirstConsumer",
        allowVolumeExpansion: true,
      },
      {
        apiVersion: "snapshot.storage.k8s.io/v1",
        kind: "VolumeSnapshotClass",
        metadata: { name: CLASS },
        driver: DRIVER_NAME,
        deletionPolicy: "Delete",
      },
    );
    driver = await startHostpathDriver({ nodeName, nodeDirectory, kubeconfig: capstan.kubeconfig, directory });
  });
  after(async () => {
    await driver?.close();
    await capstan?.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  it("registers, and the cluster knows its node", async () => {
    assert.deepEqual(await driver.registrar.registered, { pluginRegistered: true });
    const said = await capstan.kubectl("get", "csinodes", "-o", "jsonpath={.items[0].spec.drivers[0]}");
    const { name, topologyKeys } = JSON.parse(said) as { name: string; topologyKeys: string[] };
    assert.deepEqual([name, topologyKeys], [DRIVER_NAME, ["topology.hostpath.csi/node"]]);
  });

  it("a claim is provisioned where its first pod goes, attached, staged and published", async () => {
    await apply(claim("one"));
    await apply(pod("writer", "echo kept > /data/file; sync; sleep 1000", of("one")));
    await until("pod", "writer", ".status.phase", "Running");
    const volume = await says("pvc", "one", ".spec.volumeName");
    assert.equal(await says("pv", volume, ".spec.csi.driver"), DRIVER_NAME);
    const attached = await capstan.kubectl("get", "volumeattachments", "-o", "jsonpath={.items[*].status.attached}");
    assert.equal(attached, "true");
    assert.equal(mounts().length, 1);
  });

  it("it grows while it is used", async () => {
    await capstan.kubectl("patch", "pvc", "one", "-p", '{"spec":{"resources":{"requests":{"storage":"2Mi"}}}}');
    await until("pvc", "one", ".status.capacity.storage", "2Mi");
    assert.equal(await says("pvc", "one", ".status.conditions"), "");
  });

  it("a snapshot of it, and a clone, have its files", async () => {
    await apply({
      apiVersion: "snapshot.storage.k8s.io/v1",
      kind: "VolumeSnapshot",
      metadata: { name: "then" },
      spec: { volumeSnapshotClassName: CLASS, source: { persistentVolumeClaimName: "one" } },
    });
    await until("volumesnapshot", "then", ".status.readyToUse", "true");
    const size = { resources: { requests: { storage: "2Mi" } } };
    const snapshot = { apiGroup: "snapshot.storage.k8s.io", kind: "VolumeSnapshot", name: "then" };
    await apply(claim("restored", { ...size, dataSource: snapshot }));
    await apply(claim("cloned", { ...size, dataSource: { kind: "PersistentVolumeClaim", name: "one" } }));
    const read = await Promise.all(["restored", "cloned"].map((name) => runs(name, "cat /data/file", of(name))));
    assert.deepEqual(read, ["kept\n", "kept\n"]);
  });

  it("a pod's own volumes live as long as the pod, inline or by a claim", async () => {
    const inline = { csi: { driver: DRIVER_NAME, volumeAttributes: { size: "1Mi" } } };
    const template = claim("", {}).spec;
    const generic = { ephemeral: { volumeClaimTemplate: { spec: template } } };
    const command = "echo mine > /data/file; cat /data/file";
    const read = await Promise.all([runs("inline", command, inline), runs("generic", command, generic)]);
    assert.deepEqual(read, ["mine\n", "mine\n"]);
    assert.equal(await says("pvc", "generic-data", ".status.phase"), "Bound");
    await capstan.kubectl("delete", "pod", "inline", "generic", "--wait=true");
    await eventually("the claim goes with its pod", async () => {
      const { stdout } = await capstan.tryKubectl("get", "pvc", "generic-data", "--ignore-not-found", "-o", "name");
      return stdout === "";
    });
  });

  it("a volume takes the parameters of a VolumeAttributesClass", async () => {
    await apply({
      apiVersion: "storage.k8s.io/v1",
      kind: "VolumeAttributesClass",
      metadata: { name: "quick" },
      driverName: DRIVER_NAME,
      parameters: { speed: "high" },
    });
    await capstan.kubectl("patch", "pvc", "one", "-p", '{"spec":{"volumeAttributesClassName":"quick"}}');
    await until("pvc", "one", ".status.currentVolumeAttributesClassName", "quick");
  });

  it("all is undone: volumes, snapshots, attachments and mounts", async () => {
    await capstan.kubectl("delete", "pod", "--all", "--wait=true");
    await capstan.kubectl("delete", "volumesnapshot", "--all", "--wait=true");
    await capstan.kubectl("delete", "pvc", "--all", "--wait=true");
    const none = (kind: string) =>
      eventually(`no ${kind} is left`, async () => (await capstan.kubectl("get", kind, "-o", "name")) === "");
    for (const kind of ["pv", "volumeattachments", "volumesnapshotcontents"]) await none(kind);
    assert.deepEqual(mounts(), []);
    assert.deepEqual(
      readdirSync(driver.stateDir).filter((name) => name !== "state.json"),
      [],
    );
  });
});
