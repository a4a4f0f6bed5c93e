/** A real HAProxy in a throw-away network namespace; the API is a small one in memory. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { JsonObject, KubeObject } from "#sdk/api/object.ts";
import { PluginFailure } from "#sdk/plugin/failure.ts";
import type { EndpointSlice, Service } from "./configuration.ts";
import type { Host } from "./host.ts";
import { createHooks, FINALIZER } from "./reconcile.ts";

const namespace = `captest-${randomBytes(3).toString("hex")}-lb`;
const directory = mkdtempSync(join(tmpdir(), "capstan-lb-"));
const inside = (program: string, args: string[], input = "") => {
  const { status, stdout, stderr } = spawnSync("nsenter", [`--net=/run/netns/${namespace}`, "--", program, ...args], {
    encoding: "utf8",
    input,
  });
  return { exitCode: status ?? 1, stdout, stderr };
};
const skip =
  process.getuid?.() !== 0
    ? "needs root for network namespaces"
    : existsSync("/usr/sbin/haproxy")
      ? false
      : "needs HAProxy: apt-get install haproxy";

/** Objects by resource and name; merge patches of metadata and status, as far as the plugin uses them. */
class MemoryApi {
  readonly objects = new Map<string, KubeObject>();
  readonly events: { reason: string; message: string; type: string }[] = [];
  put = (resource: string, object: KubeObject) => void this.objects.set(`${resource}/${object.metadata.name}`, object);
  remove = (resource: string, name: string) => void this.objects.delete(`${resource}/${name}`);
  service = (name: string) => this.objects.get(`services/${name}`) as Service & KubeObject;
  readonly api: Host["api"] = {
    find: <T extends KubeObject>(r: { resource: string }, ref: { name?: string }) =>
      structuredClone(this.objects.get(`${r.resource}/${ref.name}`)) as T | undefined,
    list: <T extends KubeObject>(r: { resource: string }, o: { labelSelector?: string }) => ({
      metadata: {},
      items: [...this.objects]
        .filter(([key, object]) => {
          const [label = "", value] = (o.labelSelector ?? "").split("=");
          return key.startsWith(`${r.resource}/`) && object.metadata.labels?.[label] === value;
        })
        .map(([, object]) => object as T),
    }),
    create: <T extends KubeObject>(_: { resource: string }, object: T) => {
      this.events.push(object as unknown as { reason: string; message: string; type: string });
      return object;
    },
    patch: <T extends KubeObject>(r: { resource: string }, ref: { name?: string }, _: "merge", body: JsonObject) => {
      const key = `${r.resource}/${ref.name}`;
      const old = this.objects.get(key)!;
      const next = { ...old, ...body, metadata: { ...old.metadata, ...(body["metadata"] as object) } };
      this.objects.set(key, next);
      return next as unknown as T;
    },
  };
}

const memory = new MemoryApi();
const path = (name: string) => join(directory, name);
const host: Host = {
  api: memory.api,
  run: (program, options) => inside(program, options.args ?? [], options.stdin),
  files: {
    read: (_, name) => readFileSync(path(name), "utf8"),
    write(_, name, contents) {
      mkdirSync(dirname(path(name)), { recursive: true });
      writeFileSync(`${path(name)}~`, contents);
      renameSync(`${path(name)}~`, path(name));
    },
    remove: (_, name) => rmSync(path(name), { force: true }),
    list: (_, name) =>
      existsSync(path(name))
        ? readdirSync(path(name))
            .filter((n) => !n.endsWith("~"))
            .sort()
        : [],
  },
  now: Date.now,
  settings: () => ({ pool: "203.0.113.0/29,fd00:203::/125", link: "captestl", directory }),
};

describe("load balancers", { skip }, () => {
  const hooks = createHooks(host);
  const children: ChildProcess[] = [];
  const reconcile = (name: string) => hooks.reconcile({ tenant: "root", namespace: "default", name });
  const service = (name: string, spec: Service["spec"] = {}): Service & KubeObject => ({
    metadata: { name, namespace: "default", uid: `uid-${name}`, resourceVersion: "1" },
    spec: { type: "LoadBalancer", ports: [{ name: "http", port: 80, protocol: "TCP" }], ...spec },
  });
  const slice = (name: string, ready: number[]): EndpointSlice & KubeObject => ({
    metadata: { name: `${name}-1`, namespace: "default", labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ name: "http", protocol: "TCP", port: 9000 }],
    endpoints: ready.map((n) => ({ addresses: [`127.9.0.${n}`], conditions: { ready: true } })),
  });
  const script = async (text: string) => {
    const child = spawn("nsenter", [`--net=/run/netns/${namespace}`, "--", process.execPath, "-e", text], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.push(child);
    await once(child.stdout!, "data");
    return child;
  };
  const get = (url: string) => inside("curl", ["-s", "--noproxy", "*", "-m", "3", url]);
  const seen = (url: string, times: number) =>
    [...new Set(Array.from({ length: times }, () => get(url).stdout))].sort();
  /** The process before goes on for a moment, until it has heard that it should end. */
  const until = (what: string, holds: () => boolean) => {
    for (let i = 0; i < 200; i++) if (holds()) return;
    assert.fail(`did not happen: ${what}`);
  };
  const pids = () => {
    const ours = inside("ss", ["-xlpHn"])
      .stdout.split("\n")
      .filter((line) => line.includes(path("master.sock")));
    return ours.flatMap((line) => [...line.matchAll(/"haproxy",pid=(\d+)/g)].map(([, pid]) => Number(pid)));
  };

  before(async () => {
    assert.equal(spawnSync("ip", ["netns", "add", namespace]).status, 0);
    inside("ip", ["link", "set", "lo", "up"]);
    await script(`
      const { createServer } = require("node:http");
      const servers = [1, 2, 3].map((n) => new Promise((r) => createServer((q, a) => a.end("pod" + n)).listen(9000, "127.9.0." + n, r)));
      Promise.all(servers).then(() => console.log("ready"));`);
  });
  after(async () => {
    for (const pid of pids()) process.kill(pid, "SIGTERM");
    for (const child of children) {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    }
    spawnSync("ip", ["netns", "delete", namespace]);
    rmSync(directory, { recursive: true, force: true });
  });

  test("a service gets an address, a HAProxy before its ready endpoints, a finalizer, a status and events", () => {
    memory.put("services", service("web"));
    memory.put("endpointslices", slice("web", [1, 2]));
    assert.deepEqual(reconcile("web"), { requeueMs: 30_000 });
    const { metadata, status } = memory.service("web");
    assert.deepEqual(metadata.finalizers, [FINALIZER]);
    assert.deepEqual(status?.loadBalancer?.ingress, [
      { ip: "203.0.113.1", ipMode: "Proxy", ports: [{ port: 80, protocol: "TCP" }] },
    ]);
    assert.deepEqual(
      memory.events.map((e) => e.reason),
      ["EnsuringLoadBalancer", "EnsuredLoadBalancer"],
    );
    assert.deepEqual(seen("http://203.0.113.1/", 10), ["pod1", "pod2"]);
  });

  test("reconciling again changes nothing", () => {
    const [before, count] = [pids(), memory.events.length];
    assert.equal(before.length, 1);
    reconcile("web");
    assert.deepEqual([pids(), memory.events.length], [before, count]);
  });

  test("endpoints come and go under load, and no request fails", async () => {
    const load = await script(`
      const { get } = require("node:http");
      let failed = [], done = 0, stop = false;
      const one = () => new Promise((r) => get("http://203.0.113.1/", { agent: false, timeout: 5000 }, (a) => { a.resume(); a.on("end", r); a.on("error", (e) => { failed.push(e.message); r(); }); }).on("error", (e) => { failed.push(e.message); r(); }));
      const client = async () => { while (!stop) { await one(); done++; } };
      const clients = Promise.all(Array.from({ length: 8 }, client));
      process.stdin.on("data", async () => { stop = true; await clients; console.log(JSON.stringify({ done, failed })); process.exit(); });
      console.log("started");`);
    for (let round = 0; round < 12; round++) {
      memory.put("endpointslices", slice("web", [[1], [1, 2], [2, 3], [1, 2, 3]][round % 4]!));
      reconcile("web");
    }
    load.stdin!.write("stop\n");
    const [text] = (await once(load.stdout!, "data")) as [Buffer];
    const { done, failed } = JSON.parse(String(text)) as { done: number; failed: string[] };
    assert.deepEqual(failed, []);
    assert.ok(done > 100, `${done} requests`);
    until("all three", () => seen("http://203.0.113.1/", 12).join() === "pod1,pod2,pod3");
    until("one process is left", () => pids().length === 1);
  });

  test("a HAProxy that was ended comes back at the next look, with all addresses", () => {
    for (const pid of pids()) process.kill(pid, "SIGKILL");
    inside("ip", ["link", "delete", "captestl"]);
    while (pids().length > 0) inside("true", []);
    reconcile("web");
    assert.match(get("http://203.0.113.1/").stdout, /^pod/);
  });

  test("source ranges, session affinity and a wished address are kept; a wish that cannot be fulfilled is told once", () => {
    memory.put("endpointslices", slice("pinned", [1, 2, 3]));
    memory.put(
      "services",
      service("pinned", {
        loadBalancerIP: "203.0.113.4",
        sessionAffinity: "ClientIP",
        ports: [{ name: "http", port: 81 }],
      }),
    );
    reconcile("pinned");
    assert.equal(seen("http://203.0.113.4:81/", 8).length, 1);
    memory.put("services", {
      ...memory.service("pinned"),
      ...{ spec: { ...memory.service("pinned").spec, loadBalancerSourceRanges: ["10.0.0.0/8"] } },
    });
    reconcile("pinned");
    until("outsiders are refused", () => get("http://203.0.113.4:81/").exitCode !== 0);
    memory.put("services", service("other", { loadBalancerIP: "203.0.113.4" }));
    const failure = (error: unknown) =>
      error instanceof PluginFailure && /203\.0\.113\.4 belongs to another service/.test(error.message);
    assert.throws(() => reconcile("other"), failure);
    assert.throws(() => reconcile("other"), failure);
    assert.equal(memory.events.filter((e) => e.reason === "SyncLoadBalancerFailed").length, 1);
    assert.match(get("http://203.0.113.1/").stdout, /^pod/);
  });

  test("a service of two families has an address of each before its endpoints of that family, and gives back one that it has no more", async () => {
    await script(`
      const { createServer } = require("node:http");
      createServer((q, a) => a.end("six")).listen(9000, "::1", () => console.log("ready"));`);
    memory.put("services", service("both", { ipFamilies: ["IPv4", "IPv6"], ports: [{ name: "http", port: 82 }] }));
    memory.put("endpointslices", slice("both", [1]));
    memory.objects.set("endpointslices/both-6", {
      ...slice("both", []),
      ...{ addressType: "IPv6", endpoints: [{ addresses: ["::1"], conditions: { ready: true } }] },
    });
    reconcile("both");
    const ips = () => memory.service("both").status?.loadBalancer?.ingress?.map(({ ip }) => ip);
    assert.deepEqual(ips(), ["203.0.113.2", "fd00:203::1"]);
    assert.equal(get("http://203.0.113.2:82/").stdout, "pod1");
    assert.equal(get("http://[fd00:203::1]:82/").stdout, "six");
    memory.put("services", {
      ...memory.service("both"),
      ...{ spec: { ...memory.service("both").spec, loadBalancerSourceRanges: ["203.0.113.0/24"] } },
    });
    reconcile("both");
    until("the other family is refused", () => get("http://[fd00:203::1]:82/").exitCode !== 0);
    assert.equal(get("http://203.0.113.2:82/").stdout, "pod1");
    memory.put("services", {
      ...memory.service("both"),
      ...{ spec: { ...memory.service("both").spec, ipFamilies: ["IPv4"] } },
    });
    reconcile("both");
    assert.deepEqual(ips(), ["203.0.113.2"]);
    assert.doesNotMatch(inside("ip", ["-6", "address", "show", "dev", "captestl"]).stdout, /fd00:203/);
    memory.remove("services", "both");
    reconcile("both");
  });

  test("another class, and a service without TCP, are left alone or told", () => {
    memory.put("services", service("foreign", { loadBalancerClass: "example.com/other" }));
    assert.equal(reconcile("foreign"), undefined);
    assert.equal(memory.service("foreign").status, undefined);
    memory.put("services", service("udp", { ports: [{ port: 53, protocol: "UDP" }] }));
    assert.throws(() => reconcile("udp"), /TCP only/);
  });

  test("a port that somebody else has is reported, and the other services go on", async () => {
    await script(`require("node:net").createServer().listen(8443, "0.0.0.0", () => console.log("ready"));`);
    memory.put("services", service("taken", { ports: [{ port: 8443 }] }));
    assert.throws(() => reconcile("taken"), /HAProxy refused: .*8443/);
    memory.put("endpointslices", slice("web", [3]));
    reconcile("web");
    until("only the new endpoint", () => seen("http://203.0.113.1/", 4).join() === "pod3");
  });

  test("a deleted service gives back its address, and its finalizer goes last", () => {
    memory.put("services", {
      ...memory.service("web"),
      metadata: { ...memory.service("web").metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
    } as Service & KubeObject);
    reconcile("web");
    assert.deepEqual(memory.service("web").metadata.finalizers, []);
    until("nobody answers", () => get("http://203.0.113.1/").exitCode !== 0);
    memory.remove("services", "web");
    reconcile("web");
    memory.remove("services", "pinned");
    reconcile("pinned");
    assert.deepEqual(
      memory.events.slice(-2).map((e) => e.reason),
      ["DeletingLoadBalancer", "DeletedLoadBalancer"],
    );
    memory.put("services", service("next"));
    memory.put("endpointslices", { ...slice("next", [2]) });
    reconcile("next");
    assert.deepEqual(memory.service("next").status?.loadBalancer?.ingress?.[0]?.ip, "203.0.113.1");
    assert.equal(get("http://203.0.113.1/").stdout, "pod2");
  });

  test("the pool's end says what to do", () => {
    assert.throws(() => {
      for (let i = 0; i < 8; i++) {
        memory.put("services", service(`fill${i}`, { ports: [{ port: 90 + i }] }));
        reconcile(`fill${i}`);
      }
    }, /all 6 addresses of the pool are in use/);
  });
});
