import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { attachmentName } from "#platform/node/csi/messages.ts";
import type {
  CSIDriver,
  CSINode,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodSpec,
  VolumeAttachment,
} from "#sdk/api/generated/types.ts";
import { startDriver, type TestDriver } from "./csi-driver.ts";
import { missing, type NodeUnderTest, startNode } from "./node-under-test.ts";

const PORT = 27252;
const DRIVER = "test.csi.example";

describe("volumes of a CSI driver, through the volume component", {
  skip: missing() ?? false,
  timeout: 240_000,
}, () => {
  const directory = mkdtempSync(join(tmpdir(), "ccsi-"));
  let node: NodeUnderTest;
  let driver: TestDriver;
  before(async () => {
    node = await startNode(PORT);
    driver = await startDriver(DRIVER, directory, node.agent().context.settings.directory);
  });
  after(async () => {
    driver?.close();
    await node?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const say = (spec: CSIDriver["spec"]) =>
    node.api.put("csidrivers", { metadata: { name: DRIVER }, spec } as CSIDriver);
  const claim = (name: string) => {
    const uid = `${name}-uid`;
    const csi = { driver: DRIVER, volumeHandle: name, fsType: "ext4", volumeAttributes: { colour: "blue" } };
    const spec = { csi, claimRef: { uid }, accessModes: ["ReadWriteOnce"] };
    node.api.put("persistentvolumes", { metadata: { name }, spec } as PersistentVolume);
    const bound = {
      metadata: { namespace: "default", name, uid },
      spec: { volumeName: name },
      status: { phase: "Bound" },
    };
    node.api.put("persistentvolumeclaims", bound as PersistentVolumeClaim);
  };
  const put = (name: string, volumes: PodSpec["volumes"], command = "echo kept > /data/file") =>
    node.api.put("pods", {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "default", name },
      spec: {
        nodeName: "n1",
        restartPolicy: "Never",
        terminationGracePeriodSeconds: 1,
        securityContext: { fsGroup: 3000 },
        containers: [
          {
            name: "main",
            image: "busybox",
            imagePullPolicy: "IfNotPresent",
            command: ["sh", "-c", command],
            volumeMounts: [{ name: "data", mountPath: "/data" }],
          },
        ],
        volumes,
      },
      status: { phase: "Pending" },
    } as Pod);
  const of = (claimName: string) => [{ name: "data", persistentVolumeClaim: { claimName } }];
  const until = (name: string, holds: (pod: Pod | undefined) => boolean) =>
    node.api.until<Pod>("pods", "default", name, holds, 60_000);
  const over = (name: string) =>
    until(name, (pod) => pod?.status?.phase === "Succeeded" || pod?.status?.phase === "Failed");
  const remove = async (name: string) => {
    node.api.deletePod("default", name, 1);
    await until(name, (pod) => pod === undefined);
  };
  const mounts = () =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes("/mount ") || line.includes("/globalmount "))
      .filter((line) => line.includes(node.agent().context.settings.directory));
  const since = (begin: number, volume: string) =>
    driver.calls
      .slice(begin)
      .filter((call) => call.endsWith(` ${volume}`))
      .map((call) => call.split(" ")[0]);

  it("a driver that registers is told so, and the cluster of it", async () => {
    assert.deepEqual(await driver.registered, { pluginRegistered: true });
    const { spec } = await node.api.until<CSINode>("csinodes", "", "n1", (one) => one !== undefined);
    assert.deepEqual(spec?.drivers, [
      { name: DRIVER, nodeID: "here", topologyKeys: ["test.example/zone"], allocatable: { count: 7 } },
    ]);
    assert.equal(node.api.get<Node>("nodes", "", "n1")?.metadata.labels?.["test.example/zone"], "a");
  });

  it("waits until the volume is attached, then stages, publishes, and undoes both", async () => {
    say({});
    claim("one");
    put("uses", of("one"));
    await until("uses", () =>
      node.api.events.some(
        ({ name, message }) => name === "uses" && /volume attachment csi-[0-9a-f]{64} cannot be read/.test(message),
      ),
    );
    assert.deepEqual(driver.calls, []);
    node.api.put("volumeattachments", {
      metadata: { name: attachmentName("one", DRIVER, "n1") },
      spec: { attacher: DRIVER, nodeName: "n1", source: { persistentVolumeName: "one" } },
      status: { attached: true, attachmentMetadata: { device: "/dev/x" } },
    } as VolumeAttachment);
    assert.equal((await over("uses")).status?.phase, "Succeeded");
    assert.deepEqual(driver.requests.get("NodeStageVolume")?.["publishContext"], { device: "/dev/x" });
    assert.deepEqual(driver.requests.get("NodePublishVolume")?.["volumeContext"], { colour: "blue" });
    assert.equal(readFileSync(join(directory, "one/file"), "utf8"), "kept\n");
    await remove("uses");
    assert.deepEqual(since(0, "one"), [
      "NodeStageVolume",
      "NodePublishVolume",
      "NodeUnpublishVolume",
      "NodeUnstageVolume",
    ]);
    assert.deepEqual(mounts(), []);
    assert.equal(readFileSync(join(directory, "one/file"), "utf8"), "kept\n");
  });

  it("stages a volume once for all pods of the node", async () => {
    say({ attachRequired: false });
    claim("shared");
    const begin = driver.calls.length;
    put("first", of("shared"), "sleep 1000");
    put("second", of("shared"), "sleep 1000");
    for (const name of ["first", "second"]) await until(name, (pod) => pod?.status?.phase === "Running");
    await Promise.all([remove("first"), remove("second")]);
    const steps = since(begin, "shared");
    assert.equal(steps.filter((one) => one === "NodeUnpublishVolume").length, 2);
    assert.equal(steps.filter((one) => one === "NodeUnstageVolume").length, 1);
    assert.equal(steps.at(-1), "NodeUnstageVolume");
    assert.deepEqual(mounts(), []);
  });

  it("makes a volume of the pod's own, and tells the driver whose it is", async () => {
    say({ attachRequired: false, podInfoOnMount: true, volumeLifecycleModes: ["Ephemeral"] });
    // What the cluster says of a driver is kept for a few seconds.
    claim("refused");
    put("inline", [{ name: "data", csi: { driver: DRIVER, volumeAttributes: { size: "1" } } }]);
    await over("inline");
    const context = driver.requests.get("NodePublishVolume")?.["volumeContext"] as Record<string, string>;
    assert.deepEqual(
      [context["csi.storage.k8s.io/ephemeral"], context["csi.storage.k8s.io/pod.name"], context["size"]],
      ["true", "inline", "1"],
    );
    await remove("inline");
    assert.deepEqual(mounts(), []);
  });

  it("goes on after a step that failed, whether or not it had done its work", async () => {
    say({ attachRequired: false });
    await until("inline", () => true);
    claim("hard");
    const begin = driver.calls.length;
    for (const method of ["NodeStageVolume", "NodeUnpublishVolume"]) driver.fail(method, 1, "before");
    for (const method of ["NodePublishVolume", "NodeUnstageVolume"]) driver.fail(method, 1, "after");
    put("hard", of("hard"));
    assert.equal((await over("hard")).status?.phase, "Succeeded");
    await remove("hard");
    assert.ok(
      node.api.events.some(
        ({ name, reason, message }) =>
          name === "hard" && reason === "FailedMount" && message.includes("NodeStageVolume fails"),
      ),
    );
    assert.equal(since(begin, "hard").at(-1), "NodeUnstageVolume");
    assert.deepEqual(mounts(), []);
  });

  it("grows a volume as soon as its claim says that it grew in the driver's store, and tells the claim", async () => {
    claim("grows");
    put("grows", of("grows"), "sleep 1000");
    await until("grows", (one) => one?.status?.phase === "Running");
    const volume = node.api.get<PersistentVolume>("persistentvolumes", "", "grows");
    node.api.put("persistentvolumes", {
      ...volume,
      spec: { ...volume?.spec, capacity: { storage: "2Gi" } },
    } as PersistentVolume);
    const known = node.api.get<PersistentVolumeClaim>("persistentvolumeclaims", "default", "grows");
    const conditions = [{ type: "FileSystemResizePending", status: "True" }];
    node.api.put("persistentvolumeclaims", {
      ...known,
      status: { phase: "Bound", conditions },
    } as PersistentVolumeClaim);
    const grown = await node.api.until<PersistentVolumeClaim>(
      "persistentvolumeclaims",
      "default",
      "grows",
      (one) => one?.status?.capacity !== undefined,
    );
    assert.deepEqual([grown.status?.capacity, grown.status?.conditions], [{ storage: "2Gi" }, []]);
    assert.deepEqual(driver.requests.get("NodeExpandVolume")?.["capacityRange"], { requiredBytes: "2147483648" });
    await remove("grows");
  });

  it("undoes what an agent that was killed had done", async () => {
    claim("crash");
    put("crash", of("crash"), "sleep 1000");
    const pod = await until("crash", (one) => one?.status?.phase === "Running");
    await node.stopAgent();
    node.api.deletePod("default", "crash", 1);
    await node.startAgent();
    await until("crash", (one) => one === undefined);
    assert.deepEqual(mounts(), []);
    assert.equal(existsSync(join(node.agent().context.settings.directory, "pods", pod.metadata.uid ?? "")), false);
    const staged = join(node.agent().context.settings.directory, "plugins/kubernetes.io/csi", DRIVER);
    assert.deepEqual(readdirSync(staged), []);
  });
});
