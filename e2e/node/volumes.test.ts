import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { podPaths } from "#platform/node/context.ts";
import type { Container, PersistentVolume, PersistentVolumeClaim, Pod, PodSpec } from "#sdk/api/generated/types.ts";
import { missing, type NodeUnderTest, startNode } from "./node-under-test.ts";

const PORT = 27251;

const container = (command: string, more: Partial<Container> = {}): Container => ({
  name: "main",
  image: "busybox",
  imagePullPolicy: "IfNotPresent",
  command: ["sh", "-c", command],
  ...more,
});

describe("a node's volumes", { skip: missing() ?? false, timeout: 180_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), "capstan-pv-"));
  let node: NodeUnderTest;
  let device: string | undefined;
  before(async () => {
    node = await startNode(PORT);
  });
  after(async () => {
    await node?.close();
    if (device !== undefined) execFileSync("losetup", ["-d", device]);
    rmSync(directory, { recursive: true, force: true });
  });

  const claim = (name: string, source: PersistentVolume["spec"]) => {
    const uid = `${name}-uid`;
    node.api.put("persistentvolumes", {
      metadata: { name },
      spec: { ...source, claimRef: { uid } },
    } as PersistentVolume);
    node.api.put("persistentvolumeclaims", {
      metadata: { namespace: "default", name, uid },
      spec: { volumeName: name },
      status: { phase: "Bound" },
    } as PersistentVolumeClaim);
  };
  const put = (name: string, spec: Partial<PodSpec>) =>
    node.api.put("pods", {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "default", name },
      spec: { nodeName: "n1", restartPolicy: "Never", terminationGracePeriodSeconds: 1, containers: [], ...spec },
      status: { phase: "Pending" },
    } as Pod);
  const until = (name: string, holds: (pod: Pod | undefined) => boolean) =>
    node.api.until<Pod>("pods", "default", name, holds, 60_000);
  const ended = async (name: string): Promise<string | undefined> => {
    const pod = await until(name, (one) => one?.status?.phase === "Succeeded" || one?.status?.phase === "Failed");
    return pod.status?.phase;
  };
  const of = (name: string) => ({ name, persistentVolumeClaim: { claimName: name } });
  const mountsBelow = (path: string) =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(` ${path}`));

  it("gives a claim's directory to the pod's group, and leaves what was written", async () => {
    mkdirSync(join(directory, "data"));
    claim("data", { local: { path: join(directory, "data") } });
    put("writer", {
      securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000 },
      containers: [
        container("echo kept > /data/file && echo $WHO > /part/name", {
          env: [{ name: "WHO", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
          volumeMounts: [
            { name: "data", mountPath: "/data" },
            { name: "data", mountPath: "/part", subPathExpr: "parts/$(WHO)" },
          ],
        }),
      ],
      volumes: [of("data")],
    });
    assert.equal(await ended("writer"), "Succeeded");
    assert.equal(readFileSync(join(directory, "data/file"), "utf8"), "kept\n");
    assert.equal(statSync(join(directory, "data/file")).gid, 2000);
    assert.equal(readFileSync(join(directory, "data/parts/writer/name"), "utf8"), "writer\n");
    const uid = node.api.get<Pod>("pods", "default", "writer")?.metadata.uid ?? "";
    node.api.deletePod("default", "writer", 1);
    await until("writer", (pod) => pod === undefined);
    assert.equal(existsSync(podPaths(node.agent().context.settings, uid).base), false);
    assert.deepEqual(mountsBelow(podPaths(node.agent().context.settings, uid).base), []);
    assert.equal(readFileSync(join(directory, "data/file"), "utf8"), "kept\n");
  });

  it("mounts what one container mounts in another that asks for it", async () => {
    put("propagation", {
      containers: [
        container(
          "mkdir -p /shared/inner && mount -t tmpfs tmpfs /shared/inner && touch /shared/inner/seen && sleep 1000",
          {
            name: "mounts",
            securityContext: { privileged: true },
            volumeMounts: [{ name: "shared", mountPath: "/shared", mountPropagation: "Bidirectional" }],
          },
        ),
        container("until [ -e /shared/inner/seen ]; do sleep 0.2; done", {
          volumeMounts: [{ name: "shared", mountPath: "/shared", mountPropagation: "HostToContainer" }],
        }),
      ],
      volumes: [{ name: "shared", emptyDir: {} }],
    });
    await until(
      "propagation",
      (pod) =>
        pod?.status?.containerStatuses?.some(
          ({ name, state }) => name === "main" && state?.terminated?.exitCode === 0,
        ) === true,
    );
    node.api.deletePod("default", "propagation", 0);
    await until("propagation", (pod) => pod === undefined);
  });

  it("says why a claim cannot be used, and goes on when it can", async () => {
    claim("late", { local: { path: join(directory, "late") } });
    put("waits", {
      containers: [container("true", { volumeMounts: [{ name: "late", mountPath: "/data" }] })],
      volumes: [of("late")],
    });
    await until("waits", () =>
      node.api.events.some(
        ({ name, reason, message }) =>
          name === "waits" &&
          reason === "FailedMount" &&
          /MountVolume.SetUp failed for volume "late" : path ".*" does not exist/.test(message),
      ),
    );
    mkdirSync(join(directory, "late"));
    assert.equal(await ended("waits"), "Succeeded");
  });

  it("gives a block device to a container, and a file system on it to another", async (test) => {
    writeFileSync(join(directory, "disk"), "");
    execFileSync("truncate", ["-s", "16M", join(directory, "disk")]);
    try {
      device = execFileSync("losetup", ["--find", "--show", join(directory, "disk")], { encoding: "utf8" }).trim();
    } catch {
      return test.skip("this kernel has no loop devices");
    }
    claim("raw", { volumeMode: "Block", local: { path: device } });
    put("raw", {
      containers: [
        container("dd if=/dev/xvda of=/dev/null bs=1M count=16", {
          volumeDevices: [{ name: "raw", devicePath: "/dev/xvda" }],
        }),
      ],
      volumes: [of("raw")],
    });
    assert.equal(await ended("raw"), "Succeeded");
    claim("made", { local: { path: device, fsType: "ext4" } });
    put("made", {
      containers: [container("echo one > /data/file", { volumeMounts: [{ name: "made", mountPath: "/data" }] })],
      volumes: [of("made")],
    });
    assert.equal(await ended("made"), "Succeeded");
    node.api.deletePod("default", "made", 0);
    await until("made", (pod) => pod === undefined);
    assert.equal(
      execFileSync("blkid", ["-p", "-s", "TYPE", "-o", "value", device], { encoding: "utf8" }).trim(),
      "ext4",
    );
    assert.deepEqual(
      mountsBelow(join(node.agent().context.settings.directory, "plugins/kubernetes.io/local-volume")),
      [],
    );
  });
});
