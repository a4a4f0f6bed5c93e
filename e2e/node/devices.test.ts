/** Upstream's sample device plugin, unmodified, as a process beside a node of ours. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { binDir, buildBinaries, devicePluginBinary, notBuilt } from "../conformance/suite.ts";
import { missing, type NodeUnderTest, startNode } from "./node-under-test.ts";

const PORT = 27253;
const RESOURCE = "example.com/resource";
/** The plugin knows its agent at this path and no other. */
const PLUGINS = "/var/lib/kubelet/device-plugins";

describe("a device plugin, through the device component", {
  skip: missing() ?? notBuilt(defaultBuildDir(), devicePluginBinary.name) ?? false,
  timeout: 600_000,
}, () => {
  let node: NodeUnderTest;
  let plugin: ChildProcess;
  before(async () => {
    await buildBinaries(defaultBuildDir(), [devicePluginBinary], () => undefined);
    node = await startNode(PORT);
  });
  after(async () => {
    await stopPlugin();
    await node?.close();
    for (const device of ["Dev-1", "Dev-2"]) rmSync(join("/tmp", device), { force: true });
  });

  /** In a mount namespace of its own, where the node's directory is the kubelet's. */
  const startPlugin = () => {
    const ours = join(node.agent().context.settings.directory, "device-plugins");
    const program = join(binDir(defaultBuildDir()), devicePluginBinary.name);
    const script = `mount -t tmpfs tmpfs /var/lib && mkdir -p ${PLUGINS} && mount --bind "$1" ${PLUGINS} && exec "$0"`;
    plugin = spawn("unshare", ["--mount", "sh", "-c", script, program, ours], { stdio: "ignore" });
  };
  const stopPlugin = async () => {
    if (plugin === undefined || plugin.exitCode !== null || plugin.signalCode !== null) return;
    plugin.kill("SIGTERM");
    await once(plugin, "exit");
  };
  const says = (capacity: string, allocatable: string) =>
    node.api.until<Node>(
      "nodes",
      "",
      "n1",
      (one) => one?.status?.capacity?.[RESOURCE] === capacity && one.status.allocatable?.[RESOURCE] === allocatable,
      60_000,
    );
  const put = (name: string, count: number, command = "ls /tmp > /dev/termination-log; sleep 1000") =>
    node.api.put("pods", {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "default", name },
      spec: {
        nodeName: "n1",
        restartPolicy: "Always",
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: "main",
            image: "busybox",
            imagePullPolicy: "IfNotPresent",
            command: ["sh", "-c", command],
            resources: { limits: { [RESOURCE]: String(count) }, requests: { [RESOURCE]: String(count) } },
          },
        ],
      },
      status: { phase: "Pending" },
    } as Pod);
  const until = (name: string, holds: (pod: Pod | undefined) => boolean) =>
    node.api.until<Pod>("pods", "default", name, holds, 60_000);
  const runs = (name: string) => until(name, (pod) => pod?.status?.phase === "Running");
  const remove = async (name: string) => {
    node.api.deletePod("default", name, 1);
    await until(name, (pod) => pod === undefined);
  };
  const devicesOf = (pod: Pod) =>
    pod.status?.containerStatuses?.[0]?.allocatedResourcesStatus?.find(({ name }) => name === RESOURCE)?.resources ??
    [];

  it("its devices are the node's capacity", async () => {
    startPlugin();
    await says("2", "2");
  });

  it("a container sees the devices that it was given, and its status names them", async () => {
    put("one", 1, "ls /tmp > /dev/termination-log; exit 0");
    const pod = await until(
      "one",
      (one) => one?.status?.containerStatuses?.[0]?.lastState?.terminated?.message !== undefined,
    );
    const [device, ...others] = devicesOf(pod);
    assert.deepEqual(others, []);
    assert.equal(device?.health, "Healthy");
    assert.equal(pod.status?.containerStatuses?.[0]?.lastState?.terminated?.message, `${device?.resourceID}\n`);
    await remove("one");
  });

  it("more than there is left is refused with upstream's reason", async () => {
    put("holds", 1);
    await runs("holds");
    put("more", 2);
    const refused = await until("more", (pod) => pod?.status?.phase === "Failed");
    assert.equal(refused.status?.reason, `OutOf${RESOURCE}`);
    assert.equal(
      refused.status?.message,
      `Pod was rejected: Node didn't have enough resource: ${RESOURCE}, requested: 2, used: 1, capacity: 2`,
    );
    await remove("more");
  });

  it("a new agent knows who has what; the plugin registers with it again", async () => {
    const before = await runs("holds");
    await node.stopAgent();
    await node.startAgent();
    await says("2", "2");
    put("other", 1);
    const other = await runs("other");
    const after = await runs("holds");
    assert.equal(after.status?.containerStatuses?.[0]?.containerID, before.status?.containerStatuses?.[0]?.containerID);
    assert.deepEqual(devicesOf(after), devicesOf(before));
    assert.notEqual(devicesOf(other)[0]?.resourceID, devicesOf(after)[0]?.resourceID);
    await remove("other");
  });

  it("a plugin that ends leaves nothing to give, and its successor finds it as it was", async () => {
    await stopPlugin();
    await says("2", "0");
    assert.equal((await runs("holds")).status?.phase, "Running");
    startPlugin();
    await says("2", "2");
    await remove("holds");
    put("both", 2);
    assert.deepEqual(
      devicesOf(await runs("both"))
        .map(({ resourceID }) => resourceID)
        .sort(),
      ["Dev-1", "Dev-2"],
    );
    await remove("both");
  });
});
