/** Upstream's driver of dynamic resource allocation, unmodified, as a process beside a node of ours: from a claim to what its container sees. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readIdentity } from "#platform/main/processes.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { binDir, buildBinaries, draDriverBinary, notBuilt } from "../conformance/suite.ts";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";

const DRIVER = "test-driver.cdi.k8s.io";
const RESOURCE = "example.com/test";
/** Where drivers tell runtimes of their devices. */
const CDI = "/var/run/cdi";

describe("claims and a driver of theirs", {
  skip: skipWithoutNode || (notBuilt(defaultBuildDir(), draDriverBinary.name) ?? false),
  timeout: 900_000,
}, () => {
  const directory = mkdtempSync(join(tmpdir(), "dra-"));
  const hadCdi = existsSync(CDI);
  let capstan: Instance;
  let nodeName: string;
  let driver: ChildProcess | undefined;
  let applied = 0;

  const apply = async (...objects: object[]) => {
    const file = join(directory, `apply-${applied++}.json`);
    writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
    await capstan.kubectl("apply", "-f", file);
  };
  const says = (kind: string, name: string, path: string) =>
    capstan.kubectl("get", kind, ...(name ? [name] : []), "-o", `jsonpath={${path}}`);
  const until = (kind: string, name: string, path: string, value: string) =>
    eventually(`${path} of ${kind} ${name} is ${value}`, async () => {
      const said = await says(kind, name, path);
      if (said !== value) throw new Error(`it is ${said}`);
      return true;
    });
  const pod = (name: string, command: string, spec: object, resources: object) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      ...spec,
      containers: [
        { name: "main", image: "busybox", imagePullPolicy: "IfNotPresent", command: ["sh", "-c", command], resources },
      ],
    },
  });
  const claimed = (name: string, command: string) =>
    pod(
      name,
      command,
      { resourceClaims: [{ name: "device", resourceClaimTemplateName: "one" }] },
      { claims: [{ name: "device" }] },
    );
  /** Runs a pod to its end; answers what it wrote. */
  const runs = async (one: { metadata: { name: string } }): Promise<string> => {
    await apply(one);
    await until("pod", one.metadata.name, ".status.phase", "Succeeded");
    return await capstan.kubectl("logs", one.metadata.name);
  };
  /** The driver wrote down that the claim's devices are prepared. */
  const isPrepared = (uid: string) => existsSync(CDI) && readdirSync(CDI).some((name) => name.includes(uid));
  const unprepared = (uid: string) => eventually(`claim ${uid} is unprepared`, async () => !isPrepared(uid));
  const claimOf = async (name: string) => ({
    name: await says("pod", name, ".status.resourceClaimStatuses[0].resourceClaimName"),
    uid: await says("resourceclaims", "", `.items[?(@.metadata.ownerReferences[0].name=="${name}")].metadata.uid`),
  });

  const startDriver = () => {
    const nodeDirectory = join(capstan.dataDir, "nodes", nodeName);
    mkdirSync(join(nodeDirectory, "plugins", DRIVER), { recursive: true });
    const out = openSync(join(directory, "driver.log"), "a");
    const args = [
      ...["kubelet-plugin", `--kubeconfig=${capstan.kubeconfig}`, `--node-name=${nodeName}`, "--num-devices=2"],
      ...[`--plugin-registration-path=${join(nodeDirectory, "plugins_registry")}`],
      ...[`--datadir=${join(nodeDirectory, "plugins")}`, `--cdi-dir=${CDI}`],
    ];
    driver = spawn(join(binDir(defaultBuildDir()), draDriverBinary.name), args, { stdio: ["ignore", out, out] });
  };
  const published = () =>
    eventually("the driver's devices are published", async () => {
      const names = await says("resourceslices", "", ".items[*].spec.devices[*].name");
      return names === "device-00 device-01";
    });
  const stopDriver = async () => {
    if (driver === undefined || driver.exitCode !== null || driver.signalCode !== null) return;
    const ended = once(driver, "exit");
    driver.kill("SIGTERM");
    await ended;
  };

  before(async () => {
    await buildBinaries(defaultBuildDir(), [draDriverBinary], () => undefined);
    capstan = await startInstance({ nodes: 1 });
    nodeName = (await capstan.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")).trim();
    const parameters = { driver: DRIVER, parameters: { who: "class" } };
    await apply(
      {
        apiVersion: "resource.k8s.io/v1",
        kind: "DeviceClass",
        metadata: { name: "test" },
        spec: {
          selectors: [{ cel: { expression: `device.driver == "${DRIVER}"` } }],
          config: [{ opaque: parameters }],
          extendedResourceName: RESOURCE,
        },
      },
      {
        apiVersion: "resource.k8s.io/v1",
        kind: "ResourceClaimTemplate",
        metadata: { name: "one" },
        spec: { spec: { devices: { requests: [{ name: "device", exactly: { deviceClassName: "test" } }] } } },
      },
    );
    startDriver();
    await published();
  });
  after(async () => {
    await stopDriver();
    await capstan?.remove();
    rmSync(directory, { recursive: true, force: true });
    if (!hadCdi) rmSync(CDI, { recursive: true, force: true });
  });

  it("a container sees what the driver gives it, and the claim is unprepared when its pod is over", async () => {
    const said = await runs(claimed("sees", "env"));
    assert.match(said, /^admin_who=class$/m);
    assert.match(said, /^claim_sees_device_\w+_device=true$/m);
    const { uid } = await claimOf("sees");
    if (uid) await unprepared(uid);
    await eventually("the claim is gone", async () => (await claimOf("sees")).uid === "");
  });

  it("so does one that asks for the resource that the devices stand for", async () => {
    const limits = { limits: { [RESOURCE]: "2" } };
    const said = await runs(pod("counts", "env", {}, limits));
    assert.match(said, /^admin_who=class$/m);
    assert.match(said, /^claim_counts_extended_resources_\w+_container_0_request_0=true$/m);
    await apply(pod("too-many", "env", {}, { limits: { [RESOURCE]: "3" } }));
    await eventually("it is told why it waits", async () =>
      (await says("pod", "too-many", ".status.conditions[?(@.type=='PodScheduled')].message")).includes(
        "1 cannot allocate all claims",
      ),
    );
    await capstan.kubectl("delete", "pod", "too-many", "--wait=false");
  });

  it("a pod waits for a driver that is not there, and says so", async () => {
    await stopDriver();
    // The scheduler knows the devices for a while longer.
    await apply(claimed("waits", "true"));
    await eventually("it says why it waits", async () => {
      const said = await capstan.kubectl("get", "events", "-o", "jsonpath={.items[*].message}");
      return said.includes(
        `Failed to prepare dynamic resources: prepare dynamic resources: DRA driver ${DRIVER} is not registered`,
      );
    });
    startDriver();
    await until("pod", "waits", ".status.phase", "Succeeded");
  });

  it("a new agent has what an earlier one had prepared unprepared", async () => {
    await apply(claimed("holds", "sleep 1000"));
    await until("pod", "holds", ".status.phase", "Running");
    const { uid } = await claimOf("holds");
    assert.ok(isPrepared(uid));
    // This driver tells of no device how it is.
    const health = ".status.containerStatuses[0].allocatedResourcesStatus[0]";
    assert.equal(await says("pod", "holds", `${health}.name`), "claim:device");
    assert.equal(await says("pod", "holds", `${health}.resources[0].resourceID`), `${DRIVER}/test=claim-${uid}-device`);
    assert.equal(await says("pod", "holds", `${health}.resources[0].health`), "Unknown");
    const role = `node-${nodeName}`;
    const identity = () => readIdentity(join(capstan.dataDir, "run"), role);
    const { pid } = identity()!;
    process.kill(pid, "SIGKILL");
    await eventually("there is a new agent", async () => {
      const now = identity();
      return now !== undefined && now.pid !== pid;
    });
    await capstan.kubectl("delete", "pod", "holds");
    await unprepared(uid);
  });
});
