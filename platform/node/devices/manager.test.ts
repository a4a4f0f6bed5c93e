import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Container } from "#sdk/api/generated/types.ts";
import { createCodec } from "#sdk/plugin/protobuf.ts";
import type { DevicePool } from "#sdk/plugin/types.ts";
import { until } from "#sdk/testing/until.ts";
import type { NodePod, NodeSettings } from "../context.ts";
import { callSocket } from "../csi/registration.ts";
import type { DeviceSources } from "../ports.ts";
import { createDevices, type DeviceManager } from "./manager.ts";
import type { ListedClaim } from "./pod-resources.ts";

const GPU = "example.com/gpu";
const registration = createCodec({
  messages: { RegisterRequest: "1 version string;2 endpoint string;3 resourceName string" },
  enums: {},
});
const podResources = createCodec({
  messages: {
    ListPodResourcesResponse: "1 podResources *PodResources",
    PodResources: "1 name string;2 namespace string;3 containers *ContainerResources",
    ContainerResources: "1 name string;2 devices *ContainerDevices;5 dynamicResources *DynamicResource",
    DynamicResource: "2 claimName string;3 claimNamespace string;4 claimResources *ClaimResource",
    ClaimResource: "1 cdiDevices *CDIDevice;2 driverName string;3 poolName string;4 deviceName string",
    CDIDevice: "1 name string",
    ContainerDevices: "1 resourceName string;2 deviceIds *string",
  },
  enums: {},
});

const scratch = mkdtempSync(join(tmpdir(), "cdev-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const limits = (count: number): Container["resources"] => ({ limits: { [GPU]: String(count) } });
const pod = (name: string, containers: Container[], initContainers: Container[] = []): NodePod => ({
  metadata: { name, namespace: "default", uid: `uid-${name}` },
  spec: { containers, initContainers },
});
const simple = (name: string, count = 1) => pod(name, [{ name: "main", resources: limits(count) }]);

class Refused extends Error {
  readonly kind = "failure";
  readonly reason: string;
  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A node's devices over a plugin in memory; only the socket that it names is real. */
class Bench {
  readonly directory = mkdtempSync(join(scratch, "n"));
  pool: DevicePool = this.#pool("abc");
  ended = false;
  hears = true;
  now = 1_000_000;
  readonly calls: string[] = [];
  readonly woken: string[] = [];
  claims: ListedClaim[] = [];
  active: NodePod[] | undefined = [];
  devices!: DeviceManager;
  #ending = new AbortController();
  #done: Promise<void> = Promise.resolve();
  readonly #t: TestContext;
  #sockets = 0;

  constructor(t: TestContext) {
    this.#t = t;
    t.after(() => this.stop());
    this.begin();
  }

  #pool(ids: string, unhealthy = "", more: Partial<DevicePool> = {}): DevicePool {
    const devices = ids.split("").map((id) => ({ id, healthy: !unhealthy.includes(id), numaNodes: [] }));
    return { resourceName: GPU, devices, preStartRequired: false, preferredAllocation: false, ...more };
  }
  offer(ids: string, unhealthy = "", more: Partial<DevicePool> = {}) {
    this.pool = this.#pool(ids, unhealthy, more);
  }

  begin() {
    this.#ending = new AbortController();
    const sources: DeviceSources = {
      add: async (resource) => void this.calls.push(`add ${resource}`),
      remove: (resource) => void this.calls.push(`remove ${resource}`),
      natives: () => [],
      inventory: async () => {
        if (this.ended) throw new Refused("Unavailable", "the stream has ended");
        return { pools: [structuredClone(this.pool)], resourceSlices: "", nextMs: 200 };
      },
      preferred: async (_source, { available }) => available.slice(-1),
      allocate: async (_source, _resource, ids) => {
        this.calls.push(`allocate ${ids}`);
        if (!this.hears) throw new Refused("Internal", "no power");
        return {
          envs: [["GPUS", ids.join()]],
          mounts: [],
          deviceNodes: [],
          annotations: [],
          cdiDevices: [`${GPU}=all`],
        };
      },
      preStart: async (_source, _resource, ids) => void this.calls.push(`preStart ${ids}`),
    };
    this.devices = createDevices(
      {
        settings: { directory: this.directory } as NodeSettings,
        clock: { now: () => this.now },
        log: silentLog,
      },
      sources,
      {
        active: () => this.active,
        changed: () => undefined,
        wake: (uid) => void this.woken.push(uid),
        claims: () => this.claims,
      },
    );
    this.#done = this.devices.start(this.#ending.signal);
  }
  async stop() {
    this.#ending.abort();
    await this.#done;
  }
  socket = (name: string) => join(this.directory, name);

  async register(resource = GPU, version = "v1beta1") {
    const socket = this.socket("device-plugins/kubelet.sock");
    await until(() => existsSync(socket));
    const endpoint = `dp${++this.#sockets}.sock`;
    const plugin = createServer().listen(this.socket(`device-plugins/${endpoint}`));
    this.#t.after(() => void plugin.close());
    await new Promise<void>((resolve) => void plugin.once("listening", () => resolve()));
    const request = registration.encode("RegisterRequest", { version, endpoint, resourceName: resource });
    await callSocket(socket, "/v1beta1.Registration/Register", request);
  }
  async says(capacity: string, allocatable: string) {
    await until(() => {
      const counts = this.devices.counts();
      return counts.capacity[GPU] === capacity && counts.allocatable[GPU] === allocatable;
    });
  }
  admit(one: NodePod) {
    this.active?.push(one);
    return this.devices.admit(one);
  }
}

describe("devices of a node", () => {
  it("what registers is counted; a wrong version or name is refused with upstream's words", async (t) => {
    const bench = new Bench(t);
    await assert.rejects(bench.register(GPU, "v1alpha"), /requested API version "v1alpha" is not supported by kubelet/);
    await assert.rejects(bench.register("cpu"), /the ResourceName "cpu" is invalid/);
    await bench.register();
    await bench.says("3", "3");
    bench.offer("abcd", "b");
    await bench.says("4", "3");
  });

  it("a container has its devices until its pod is over, and is given what the plugin says", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    await bench.says("3", "3");
    const first = simple("first", 2);
    assert.equal(await bench.admit(first), undefined);
    const [container] = first.spec.containers;
    assert.deepEqual((await bench.devices.edits(first, container as Container)).envs, [["GPUS", "a,b"]]);
    assert.deepEqual(await bench.admit(simple("second", 2)), {
      reason: "UnexpectedAdmissionError",
      message:
        "Allocate failed due to requested number of devices unavailable for example.com/gpu. Requested: 2, Available: 1, which is unexpected",
    });
    bench.active = [];
    assert.equal(await bench.admit(simple("third", 3)), undefined);
    assert.deepEqual(
      bench.calls.filter((one) => one.startsWith("allocate")),
      ["allocate a,b", "allocate a,b,c"],
    );
  });

  it("two pods that come at once never get the same device", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    await bench.says("3", "3");
    const refusals = await Promise.all(["a", "b", "c", "d"].map((name) => bench.admit(simple(name))));
    assert.equal(refusals.filter((one) => one === undefined).length, 3);
    const given = ["a", "b", "c", "d"].flatMap((name) => bench.devices.of(`uid-${name}`, "main").map(({ id }) => id));
    assert.deepEqual(given.sort(), ["a", "b", "c"]);
  });

  it("an init container's devices are used again, a sidecar's are not", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    await bench.says("3", "3");
    const one = pod(
      "one",
      [{ name: "main", resources: limits(2) }],
      [
        { name: "init", resources: limits(2) },
        { name: "side", resources: limits(1), restartPolicy: "Always" },
      ],
    );
    assert.equal(await bench.admit(one), undefined);
    const of = (name: string) =>
      bench.devices
        .of("uid-one", name)
        .map(({ id }) => id)
        .join("");
    assert.deepEqual([of("init"), of("side"), of("main")], ["ab", "a", "bc"]);
  });

  it("the plugin is asked what it prefers, and told right before a start, where it says so", async (t) => {
    const bench = new Bench(t);
    bench.offer("abc", "", { preStartRequired: true, preferredAllocation: true });
    await bench.register();
    await bench.says("3", "3");
    const one = simple("one");
    assert.equal(await bench.admit(one), undefined);
    await bench.devices.edits(one, one.spec.containers[0] as Container);
    assert.deepEqual(bench.calls.slice(1), ["allocate c", "preStart c"]);
  });

  it("what the plugin refuses is the pod's failure, and costs no device", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    await bench.says("3", "3");
    bench.hears = false;
    const refused = await bench.admit(simple("refused", 3));
    assert.match(
      refused?.message ?? "",
      /^Allocate failed due to rpc error: code = Internal desc = no power, which is/,
    );
    bench.hears = true;
    assert.equal(await bench.admit(simple("again", 3)), undefined);
  });

  it("a device's health is told in its pod's status", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    await bench.says("3", "3");
    await bench.admit(simple("one"));
    const health = () => bench.devices.health("uid-one", "main");
    assert.deepEqual(health(), [{ name: GPU, resources: [{ resourceID: "a", health: "Healthy" }] }]);
    bench.offer("abc", "a");
    await until(() => bench.woken.includes("uid-one"));
    assert.deepEqual(health(), [{ name: GPU, resources: [{ resourceID: "a", health: "Unhealthy" }] }]);
  });

  it("a plugin that ends leaves nothing allocatable, and after five minutes no capacity", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    await bench.says("3", "3");
    bench.ended = true;
    await bench.says("3", "0");
    assert.ok(bench.calls.includes(`remove ${GPU}`));
    assert.match((await bench.admit(simple("late")))?.message ?? "", /no healthy devices present/);
    bench.now += 301_000;
    await bench.says("0", "0");
    bench.ended = false;
    await bench.register();
    await bench.says("3", "3");
  });

  it("a new agent knows who has what, and says 0 until the plugin registers again", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    await bench.says("3", "3");
    const one = simple("one");
    await bench.admit(one);
    await bench.stop();
    writeFileSync(bench.socket("devices.json.tmp"), "cut sho");
    bench.begin();
    await bench.says("0", "0");
    assert.deepEqual((await bench.devices.edits(one, one.spec.containers[0] as Container)).envs, [["GPUS", "a"]]);
    await bench.register();
    await bench.says("3", "3");
    assert.equal(await bench.admit(simple("two", 2)), undefined);
    assert.deepEqual(
      bench.devices.of("uid-two", "main").map(({ id }) => id),
      ["b", "c"],
    );
  });

  it("monitoring is told which container has which devices", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    await bench.says("3", "3");
    await bench.admit(simple("one"));
    const device = { driver: "d", pool: "n1", device: "x0", cdiDevices: ["d/x=0"] };
    const claimed = { cdiDevices: [{ name: "d/x=0" }], driverName: "d", poolName: "n1", deviceName: "x0" };
    bench.claims = [{ name: "c", namespace: "default", devices: [device] }];
    const socket = bench.socket("pod-resources/kubelet.sock");
    const bytes = await callSocket(socket, "/v1.PodResourcesLister/List", new Uint8Array());
    assert.deepEqual(podResources.decode("ListPodResourcesResponse", bytes), {
      podResources: [
        {
          name: "one",
          namespace: "default",
          containers: [
            {
              name: "main",
              devices: [{ resourceName: GPU, deviceIds: ["a"] }],
              dynamicResources: [{ claimName: "c", claimNamespace: "default", claimResources: [claimed] }],
            },
          ],
        },
      ],
    });
    await assert.rejects(
      callSocket(socket, "/v1.PodResourcesLister/Get", new Uint8Array()),
      /pod {2}in namespace {2}not found/,
    );
  });
});
