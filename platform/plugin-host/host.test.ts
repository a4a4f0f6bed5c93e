import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { Client } from "#sdk/client/port.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import { capabilitiesDigest } from "#sdk/plugin/approval.ts";
import { type BuiltPlugin, buildPlugin } from "#sdk/plugin/build.ts";
import type { Plugin } from "#sdk/plugin/manifest.ts";
import { PluginCallError } from "./errors.ts";
import { createPluginHost, type PluginHost } from "./host.ts";
import { createFakeSource, type FakeSource } from "./testing/source.ts";
import { type AdmissionRequest, createAdmissionPlugins } from "./worlds/v1/admission.ts";
import type { NodeDelta } from "./worlds/v1/guest-table.ts";
import { createRuntimeCalls } from "./worlds/v1/runtime.ts";
import { createSchedulingPlugins } from "./worlds/v1/scheduling.ts";

const root = resolve(import.meta.dirname, "../..");
const scratch = mkdtempSync(join(tmpdir(), "capstan-host-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const components = join(scratch, "components");
const built = new Map<string, BuiltPlugin>();
before(async () => {
  for (const dir of ["sdk/engine/fixture", "plugins/node-resources", "plugins/limit-ranger"]) {
    const plugin = await buildPlugin(join(root, dir), components);
    built.set(plugin.manifest.name, plugin);
  }
});

function pluginOf(name: string, spec: Partial<Plugin["spec"]> = {}): Plugin {
  const plugin = built.get(name);
  assert.ok(plugin);
  const { name: _, ...manifest } = plugin.manifest;
  return {
    apiVersion: "capstan.dev/v1",
    kind: "Plugin",
    metadata: { name },
    spec: { ...manifest, digest: plugin.digest, approved: [capabilitiesDigest(manifest.capabilities)], ...spec },
  };
}

const amounts = (cpuMilli: number, memory: number) => ({ cpuMilli, memory, ephemeralStorage: 0, others: [] });
const table = (cpuMilli: number): NodeDelta => ({
  whole: true,
  nodes: [
    {
      id: 0,
      name: "small",
      allocatable: amounts(cpuMilli, 1e9),
      podsMax: 110,
      node: { metadata: { name: "small" } },
    },
  ],
  usage: [{ id: 0, requested: amounts(0, 0), nonzeroCpuMilli: 0, nonzeroMemory: 0, pods: 0 }],
  pods: [],
  removed: [],
});
const podOf = (cpuMilli: number) => ({
  requests: amounts(cpuMilli, 1e6),
  nonzeroCpuMilli: cpuMilli,
  nonzeroMemory: 1e6,
  view: "{}",
});

const podRequest = (containers: object[]): AdmissionRequest => ({
  tenantName: "root",
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  subresource: "",
  namespace: "default",
  name: "web",
  object: { apiVersion: "v1", kind: "Pod", metadata: { name: "web" }, spec: { containers } } as DynamicObject,
  dryRun: false,
  user: { name: "alice", groups: [] },
});

const isCallError = (kind: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof PluginCallError, String(error));
  assert.equal(error.kind, kind);
  assert.match(error.message, message);
  return true;
};

/** Resolves when the condition holds; asked again at each turn of the timers. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((next) => setTimeout(next, 5));
}

for (const engine of ["jco", "wasmtime"] as const) {
  const skip = engine === "wasmtime" && !addonReady() ? "the wasmtime addon is not built (cargo)" : false;
  describe(`plugin host on ${engine}`, { skip }, () => {
    const hosts: PluginHost[] = [];
    after(() => Promise.all(hosts.map((host) => host.close())));

    function hostOf(source: FakeSource, o: Partial<Parameters<typeof createPluginHost>[0]> = {}): PluginHost {
      const worlds = ["filter", "score", "admission", "runtime"] as const;
      const fixed = { role: "test", instance: "0", engine, componentsDir: components, log: silentLog };
      const host = createPluginHost({ ...fixed, worlds, plugins: source, ...o });
      hosts.push(host);
      return host;
    }

    test("P1: node-resources decides where a pod fits, by a node table kept by deltas", async () => {
      const host = hostOf(createFakeSource([pluginOf("node-resources")]));
      const scheduling = createSchedulingPlugins(host, silentLog);
      scheduling.attach({ whole: () => table(1000) });
      host.start();
      await host.ready();
      const [filter] = scheduling.filters("root");
      assert.ok(filter);
      assert.equal(filter, scheduling.scores("root")[0]);
      const [fits] = await filter.evaluate([podOf(1000)], [0]);
      assert.deepEqual(Array.from(fits?.codes ?? []), [0]);
      const usage = [{ id: 0, requested: amounts(500, 0), nonzeroCpuMilli: 500, nonzeroMemory: 0, pods: 1 }];
      await filter.sync({ whole: false, nodes: [], pods: [], usage, removed: [] });
      const [refused] = await filter.evaluate([podOf(1000)], [0]);
      assert.deepEqual(refused?.outcomes, [{ reasons: ["Insufficient cpu"], unresolvable: false }]);
      const [scores] = await filter.score([podOf(0)], [0]);
      assert.deepEqual(Array.from(scores ?? []), [74]);
    });

    test("P3: an instance that was stopped comes again, with its table whole", async () => {
      const failing = pluginOf("engine-fixture", { capabilities: [], worlds: ["filter", "runtime"] });
      const host = hostOf(createFakeSource([failing]));
      const scheduling = createSchedulingPlugins(host, silentLog);
      scheduling.attach({ whole: () => table(1000) });
      host.start();
      await host.ready();
      const [filter] = scheduling.filters("root");
      assert.ok(filter);
      const loop = createRuntimeCalls(host)("status", '{"do":"loop"}', 50);
      await assert.rejects(loop, isCallError("deadline", /plugin engine-fixture, hook status/));
      const [verdicts] = await filter.evaluate([podOf(1)], [0, 1]);
      assert.deepEqual(Array.from(verdicts?.codes ?? []), [0, 1]);
      const status = host.status("engine-fixture");
      assert.equal(status?.errorsByKind["deadline"], 1);
      assert.equal(status?.restarts, 1);
      assert.match(status?.reason ?? "", /stopped in status \(deadline\)/);
    });

    test("P1: limit-ranger defaults and refuses, with the namespace's ranges as context", async () => {
      const host = hostOf(createFakeSource([pluginOf("limit-ranger")]));
      const ranges: object[] = [];
      const admission = createAdmissionPlugins(host, {
        context: async () => ranges,
        check: (_, object) => object,
        log: silentLog,
      });
      host.start();
      await host.ready();
      const request = podRequest([{ name: "c" }]);
      const [hook] = admission.hooks(request);
      assert.ok(hook);
      assert.deepEqual(await hook.mutate?.(request), { warnings: [] });
      assert.equal(host.status("limit-ranger")?.calls, 0, "without a LimitRange nothing crosses");
      ranges.push({
        metadata: { name: "l" },
        spec: {
          limits: [{ type: "Container", default: { cpu: "2" }, defaultRequest: { cpu: "1" }, max: { cpu: "1" } }],
        },
      });
      const mutated = await hook.mutate?.(request);
      assert.deepEqual(mutated?.object?.["spec"], {
        containers: [{ name: "c", resources: { limits: { cpu: "2" }, requests: { cpu: "1" } } }],
      });
      await assert.rejects(hook.validate?.({ ...request, ...mutated }) ?? Promise.resolve(), {
        message: 'pods "web" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
      });
      assert.deepEqual(admission.hooks({ ...request, operation: "DELETE" }), []);
      assert.deepEqual(admission.hooks({ ...request, subresource: "status" }), []);
    });

    test("P2: a capability that was not granted is denied, and counted", async () => {
      const host = hostOf(createFakeSource([pluginOf("engine-fixture", { capabilities: [], worlds: ["runtime"] })]));
      host.start();
      await host.ready();
      const call = createRuntimeCalls(host)("status", '{"do":"refused"}', 5000);
      assert.match(await call, /"Denied".*api is not granted/);
      assert.equal(host.status("engine-fixture")?.errorsByKind["denied"], 1);
    });

    test("a disabled plugin is drained and not called, and its guards stand down", async () => {
      const source = createFakeSource([pluginOf("node-resources")]);
      const host = hostOf(source);
      const scheduling = createSchedulingPlugins(host, silentLog);
      let changes = 0;
      scheduling.onChange(() => changes++);
      host.start();
      await host.ready();
      assert.equal(host.guard("node-capacity"), true);
      source.put(pluginOf("node-resources", { enabled: false }));
      assert.deepEqual(scheduling.filters("root"), []);
      assert.equal(host.guard("node-capacity"), false);
      assert.deepEqual([host.status("node-resources")?.state, changes > 1], ["absent", true]);
      source.put(pluginOf("node-resources"));
      await host.ready();
      assert.equal(scheduling.filters("root").length, 1);
    });

    test("no plugin of a world: the caller is told so", async () => {
      const host = hostOf(createFakeSource());
      host.start();
      const call = createRuntimeCalls(host)("version", "{}", 1000);
      await assert.rejects(call, isCallError("unavailable", /no plugin of world runtime is enabled/));
    });

    test("P7: a swap under load loses no call", async () => {
      const source = createFakeSource([pluginOf("engine-fixture", { worlds: ["runtime"] })]);
      const host = hostOf(source);
      host.start();
      await host.ready();
      const call = createRuntimeCalls(host);
      let swapped = false;
      let answered = 0;
      const traffic = (async () => {
        while (!swapped || answered < 20) {
          assert.equal(await call("version", '{"do":"echo"}', 5000), '{"do":"echo"}');
          answered++;
        }
      })();
      const before = host.generation;
      source.put(pluginOf("engine-fixture", { worlds: ["runtime"], config: { changed: true } }));
      await until(() => host.generation > before + 1);
      swapped = true;
      await traffic;
      assert.equal(host.status("engine-fixture")?.errors, 0);
    });

    test("a component whose bytes are not its digest's is never compiled", async () => {
      const digest = `sha256:${"1".repeat(64)}`;
      writeFileSync(join(components, `${digest.replace(":", "-")}.wasm`), "not it");
      const host = hostOf(createFakeSource([pluginOf("engine-fixture", { digest, worlds: ["runtime"] })]));
      host.start();
      await host.ready();
      assert.equal(host.status("engine-fixture")?.state, "backing-off");
      assert.match(host.status("engine-fixture")?.reason ?? "", /has the digest/);
    });

    test("a plugin may name an engine of its own", async () => {
      const host = hostOf(createFakeSource([pluginOf("engine-fixture", { worlds: ["runtime"], engine: "jco" })]));
      host.start();
      await host.ready();
      assert.equal(await createRuntimeCalls(host)("version", '{"do":"echo"}', 5000), '{"do":"echo"}');
      assert.equal(host.status("engine-fixture")?.engine, "jco");
    });

    test("a plugin is called for its own tenant's requests alone, and one that waits for approval for nobody's", async () => {
      const limits = pluginOf("limit-ranger");
      const of = (name: string, tenant: string, spec = limits.spec): Plugin => ({
        ...limits,
        metadata: { name, annotations: { "capstan.dev/tenant": tenant } },
        spec,
      });
      const asks = [{ name: "http" as const, reason: "r", origins: ["https://a.example"] }];
      const waiting = of("waits", "acme", { ...limits.spec, capabilities: asks, approved: [] });
      const node = of("node", "acme", { ...limits.spec, worlds: ["runtime"] });
      const host = hostOf(createFakeSource([limits, of("own", "acme"), of("own", "globex"), waiting, node]));
      host.start();
      await host.ready();
      const names = (tenant?: string) => host.loaded("admission", tenant).map(({ name }) => name);
      assert.deepEqual([names(), names("acme")], [["limit-ranger"], ["limit-ranger", "acme/own"]]);
      assert.equal(host.status("acme/waits")?.state, "waiting-for-approval");
      assert.match(host.status("acme/waits")?.reason ?? "", /waits for approval of http \(https:\/\/a\.example\)/);
      assert.match(host.status("acme/node")?.reason ?? "", /the world runtime is root's alone/);
    });

    test("an invalid spec is said, not thrown", () => {
      const host = hostOf(createFakeSource([pluginOf("engine-fixture", { digest: "nonsense" })]));
      host.start();
      assert.deepEqual(host.loaded("runtime"), []);
    });

    test("a configuration that its schema refuses stops the plugin and says where", async () => {
      const configSchema = { type: "object", properties: { mtu: { type: "integer" } }, additionalProperties: false };
      const source = createFakeSource([pluginOf("engine-fixture", { worlds: ["runtime"], configSchema })]);
      const host = hostOf(source);
      host.start();
      await host.ready();
      assert.equal(host.loaded("runtime").length, 1);
      source.put(pluginOf("engine-fixture", { worlds: ["runtime"], configSchema, config: { mtu: "large" } }));
      assert.deepEqual(host.loaded("runtime"), []);
      assert.match(host.status("engine-fixture")?.reason ?? "", /invalid config: config\.mtu: .*expected number|int/);
    });

    test("status is written to the Plugin object under role and instance", async () => {
      const written: [string, { status: { hosts: Record<string, { calls: number; state: string }> } }][] = [];
      const client = {
        patch: async (_r: unknown, n: { name: string }, patch: { body: (typeof written)[0][1] }) => {
          written.push([n.name, patch.body]);
        },
      } as unknown as Client;
      const host = hostOf(createFakeSource([pluginOf("engine-fixture", { worlds: ["runtime"] })]), { client });
      host.start();
      await host.ready();
      await createRuntimeCalls(host)("version", '{"do":"echo"}', 5000);
      // The state may have been told before the call; counts follow.
      await until(() => written.some(([, body]) => body.status.hosts["test/0"]?.calls === 1));
      const [name, body] = written.at(-1) ?? [];
      assert.deepEqual([name, body?.status.hosts["test/0"]?.state], ["engine-fixture", "serving"]);
    });
  });
}
