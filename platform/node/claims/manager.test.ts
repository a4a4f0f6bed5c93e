import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { ResourceClaim } from "#sdk/api/generated/types.ts";
import type { PreparedDevice } from "#sdk/plugin/types.ts";
import { until } from "#sdk/testing/until.ts";
import type { NodePod, NodeSettings } from "../context.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import type { KnownHealth } from "./drivers.ts";
import { type ClaimManager, createClaims } from "./manager.ts";

const DRIVER = "gpu.example.com";
const scratch = mkdtempSync(join(tmpdir(), "cclm-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const container = (claims: { name: string; request?: string }[] = [{ name: "gpu" }]) => ({
  name: "main",
  resources: { claims },
});
const pod = (name: string, claim: string, more: Partial<NodePod> = {}): NodePod => ({
  metadata: { name, namespace: "default", uid: `uid-${name}` },
  spec: { containers: [container()], resourceClaims: [{ name: "gpu", resourceClaimName: claim }] },
  ...more,
});
const claim = (name: string, users: string[], results: string[] = [DRIVER]): ResourceClaim => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceClaim",
  metadata: { name, namespace: "default", uid: `uid-of-${name}` },
  spec: {},
  status: {
    allocation: {
      devices: { results: results.map((driver, i) => ({ request: `r${i}`, driver, pool: "n1", device: `gpu-${i}` })) },
    },
    reservedFor: users.map((user) => ({ resource: "pods", name: user, uid: `uid-${user}` })),
  },
});

/** A node's claims over a driver in memory; only the socket that it names is real. */
class Bench {
  readonly directory = mkdtempSync(join(scratch, "n"));
  readonly calls: string[] = [];
  readonly wiped: (string | undefined)[] = [];
  readonly woken: string[] = [];
  healthy: KnownHealth[] = [];
  readonly api = createFakeApi();
  now = 1_000_000;
  refuses = false;
  active: string[] | undefined = undefined;
  claims!: ClaimManager;
  #ending = new AbortController();
  #done: Promise<void> = Promise.resolve();

  constructor(t: TestContext) {
    t.after(() => this.stop());
    this.begin();
  }
  begin() {
    this.#ending = new AbortController();
    const { client } = this.api;
    const device = (name: string, requests: string[]): PreparedDevice => ({
      requests,
      pool: "n1",
      device: name,
      cdiDevices: [`${DRIVER}/gpu=${name}`],
    });
    this.claims = createClaims(
      {
        settings: { directory: this.directory, name: "n1" } as NodeSettings,
        clock: { now: () => this.now },
        log: silentLog,
        client: {
          ...client,
          deleteCollection: async (_, { fieldSelector }) => void this.wiped.push(fieldSelector),
        },
      },
      {
        add: async (driver, _, { service }) => void this.calls.push(`add ${driver} ${service}`),
        health: async () => this.healthy,
        remove: (driver) => void this.calls.push(`remove ${driver}`),
        prepare: async (driver, { metadata }) => {
          this.calls.push(`prepare ${driver} ${metadata.name}`);
          if (this.refuses) throw new Error("no power");
          return [device("a", ["r0"]), device("b", ["r1"]), device("c", [])];
        },
        unprepare: async (driver, { name, uid }) => {
          this.calls.push(`unprepare ${driver} ${name} ${uid}`);
          if (this.refuses) throw new Error("busy");
        },
      },
      { active: () => this.active && new Set(this.active), wake: (uid) => void this.woken.push(uid) },
    );
    this.#done = this.claims.start(this.#ending.signal);
  }
  async stop() {
    this.#ending.abort();
    await this.#done;
  }
  async register(supportedVersions = ["v1.DRAPlugin", "v1beta1.DRAPlugin"], endpoint = join(this.directory, "d.sock")) {
    await this.claims.registrations.added({ type: "DRAPlugin", name: DRIVER, endpoint, supportedVersions });
  }
  put(one: ResourceClaim) {
    this.api.put("resourceclaims", one);
  }
  asked(what: string) {
    return this.calls.filter((one) => one.startsWith(what));
  }
}

describe("claims on a node", () => {
  it("are prepared once for all pods that use them, and unprepared after the last", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    bench.put(claim("c", ["p", "q"]));
    const [p, q] = [pod("p", "c"), pod("q", "c")];
    await Promise.all([bench.claims.prepare(p), bench.claims.prepare(q)]);
    await bench.claims.prepare(p);
    assert.deepEqual(bench.asked("prepare"), [`prepare ${DRIVER} c`]);
    await bench.claims.release("uid-p");
    assert.deepEqual(bench.asked("unprepare"), []);
    assert.equal(bench.claims.holds("uid-p"), false);
    await bench.claims.release("uid-q");
    await bench.claims.release("uid-q");
    assert.deepEqual(bench.asked("unprepare"), [`unprepare ${DRIVER} c uid-of-c`]);
  });

  it("give a container what it names: all of a claim, one request of it, or what its resources are mapped to", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    bench.put(claim("c", ["p"]));
    const mapping = { containerName: "main", resourceName: "example.com/gpu", requestName: "r1" };
    const status = { extendedResourceClaimStatus: { resourceClaimName: "c", requestMappings: [mapping] } };
    const mapped = pod("p", "", { spec: { containers: [] }, status });
    const named = pod("p", "c");
    await bench.claims.prepare(mapped);
    const names = (of: NodePod, one: ReturnType<typeof container>) =>
      bench.claims.devicesOf(of, one).map((name) => name.slice(-1));
    assert.deepEqual(names(named, container()), ["a", "b", "c"]);
    assert.deepEqual(names(named, container([{ name: "gpu", request: "r0" }])), ["a", "c"]);
    assert.deepEqual(names(mapped, container([])), ["b", "c"]);
    assert.deepEqual(names(mapped, { ...container([]), name: "other" }), []);
  });

  const refusals: [what: string, one: ResourceClaim | undefined, message: string][] = [
    ["that is not there", undefined, 'fetch ResourceClaim c: resourceclaims.resource.k8s.io "c" not found'],
    ["of others", claim("c", []), "pod p (uid-p) is not allowed to use ResourceClaim c (uid-of-c)"],
    ["without devices", { ...claim("c", []), status: { reservedFor: claim("c", ["p"]).status!.reservedFor! } }, ""],
    ["whose driver is not there", claim("c", ["p"], ["other.example.com"]), ""],
  ];
  const said = ["ResourceClaim c: not allocated", "DRA driver other.example.com is not registered"];
  for (const [i, [what, one, message]] of refusals.entries())
    it(`a claim ${what} is not prepared, and nothing is remembered of it`, async (t) => {
      const bench = new Bench(t);
      await bench.register();
      if (one) bench.put(one);
      await assert.rejects(bench.claims.prepare(pod("p", "c")), {
        message: `prepare dynamic resources: ${message || said[i - 2]}`,
      });
      assert.equal(bench.claims.holds("uid-p"), false);
    });

  it("that a driver could not prepare are tried again, and unprepared with their pod all the same", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    bench.put(claim("c", ["p"]));
    bench.refuses = true;
    await assert.rejects(bench.claims.prepare(pod("p", "c")), { message: "prepare dynamic resources: no power" });
    assert.throws(() => bench.claims.devicesOf(pod("p", "c"), container()), /unable to get claim info/);
    await assert.rejects(bench.claims.release("uid-p"), { message: "busy" });
    bench.refuses = false;
    await bench.claims.release("uid-p");
    assert.equal(bench.claims.holds("uid-p"), false);
  });

  it("of a pod that ended while there was no agent are unprepared by the next one", async (t) => {
    const bench = new Bench(t);
    await bench.register();
    for (const name of ["c", "d"]) bench.put(claim(name, ["p", "q"]));
    await bench.claims.prepare(pod("p", "c"));
    await bench.claims.prepare(pod("q", "d"));
    await bench.stop();
    bench.active = ["uid-q"];
    bench.begin();
    await until(() => bench.wiped.length === 2);
    assert.equal(bench.claims.holds("uid-p"), true);
    await bench.stop();
    bench.begin();
    await bench.register();
    await until(() => !bench.claims.holds("uid-p"));
    assert.deepEqual(bench.asked("unprepare"), [`unprepare ${DRIVER} c uid-of-c`]);
    assert.deepEqual(bench.claims.devicesOf(pod("q", "d"), container()).length, 3);
  });

  it("the health of devices is told as their driver tells it, and what it does not speak of is unknown", async (t) => {
    const bench = new Bench(t);
    bench.healthy = [
      { pool: "n1", device: "a", healthy: true },
      { pool: "n1", device: "b", healthy: false },
    ];
    await bench.register(["v1.DRAPlugin", "v1alpha1.DRAResourceHealth"]);
    bench.put(claim("c", ["p"]));
    const p = pod("p", "c");
    await bench.claims.prepare(p);
    const said = (one: ReturnType<typeof container>) =>
      bench.claims
        .health(p, one)
        .map(({ name, resources = [] }) => [
          name,
          ...resources.map(({ resourceID, health }) => `${resourceID} ${health}`),
        ]);
    const id = (name: string) => `${DRIVER}/gpu=${name}`;
    const all = ["claim:gpu", `${id("a")} Healthy`, `${id("b")} Unhealthy`, `${id("c")} Unknown`];
    await until(() => said(container())[0]?.join() === all.join());
    const one = ["claim:gpu/r0", `${id("a")} Healthy`, `${id("c")} Unknown`];
    assert.deepEqual(said(container([{ name: "gpu", request: "r0" }])), [one]);
    bench.woken.splice(0);
    bench.healthy = [];
    await until(() => bench.woken.includes("uid-p"));
    assert.deepEqual(said(container([{ name: "gpu", request: "r0" }]))[0]?.[1], `${id("a")} Unknown`);
  });

  it("a driver without a service that the node knows is refused with upstream's words", async (t) => {
    const bench = new Bench(t);
    await assert.rejects(
      bench.register(["v1alpha2.Node"]),
      /none of services supported by the plugin \(\["v1alpha2.Node"\]\) are supported by the kubelet/,
    );
    await bench.register(["v1alpha1.DRAResourceHealth", "v1beta1.DRAPlugin"]);
    assert.deepEqual(bench.asked("add"), [`add ${DRIVER} v1beta1.DRAPlugin`]);
  });

  it("devices of drivers that are not there when the agent starts, or that go, are taken from the cluster", async (t) => {
    const bench = new Bench(t);
    await until(() => bench.wiped.length === 1);
    const socket = join(bench.directory, "d.sock");
    const server = createServer().listen(socket);
    await new Promise<void>((resolve) => void server.once("listening", () => resolve()));
    await bench.register();
    bench.claims.registrations.removed({ type: "DRAPlugin", name: DRIVER, endpoint: socket, supportedVersions: [] });
    bench.now += 60_000;
    await until(() => bench.wiped.length === 2, 10_000);
    server.close();
    assert.deepEqual(bench.wiped, ["spec.nodeName=n1", `spec.nodeName=n1,spec.driver=${DRIVER}`]);
  });
});
