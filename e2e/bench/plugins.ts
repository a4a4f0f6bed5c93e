/**
 * What plugins cost, on both engines: `node e2e/bench/plugins.ts [wasmtime|jco …]`. Prints a table with the targets beside; figures are
 * medians of one quiet machine, ratios carry over. Nothing else should run meanwhile.
 */
import { linkSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { AdmissionAttributes } from "#platform/apiserver/registry/admission.ts";
import { silentLog } from "#platform/base/log.ts";
import { createPluginHost, type PluginHost, type PluginSource } from "#platform/plugin-host/host.ts";
import { type AdmissionRequest, createAdmissionPlugins } from "#platform/plugin-host/worlds/v1/admission.ts";
import { createSchedulingPlugins } from "#platform/plugin-host/worlds/v1/scheduling.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import { createEngine } from "#sdk/engine/index.ts";
import { CONTRACT_PREFIX, type EngineName } from "#sdk/engine/port.ts";
import { type BuiltPlugin, buildPlugin, componentPath, sha256 } from "#sdk/plugin/build.ts";
import type { Plugin } from "#sdk/plugin/manifest.ts";
import { median, startWebhook } from "./webhook.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const MiB = 1024 * 1024;
const NODES = 1000;
const scratch = mkdtempSync(join(tmpdir(), "capstan-bench-plugins-"));
const components = join(scratch, "components");

type Row = [what: string, target: string, figures: Record<string, string>];
const rows: Row[] = [];
function note(what: string, target: string, engine: string, figure: string): void {
  const row = rows.find(([name]) => name === what);
  if (row) row[2][engine] = figure;
  else rows.push([what, target, { [engine]: figure }]);
}
const ms = (value: number) => (value < 0.1 ? `${(value * 1000).toFixed(1)} µs` : `${value.toFixed(2)} ms`);

const BATCHES = 200;
const BATCH_MS = 1;

/** Milliseconds of one call: the median of batches short enough that few of them are interrupted by whatever else runs. */
async function timed(work: () => Promise<unknown> | unknown): Promise<number> {
  const warm = performance.now();
  let calls = 0;
  while (performance.now() - warm < 200 || calls < 50) {
    await work();
    calls++;
  }
  const size = Math.max(1, Math.min(200, Math.round((calls * BATCH_MS) / 200)));
  const batches: number[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const started = performance.now();
    for (let i = 0; i < size; i++) await work();
    batches.push((performance.now() - started) / size);
  }
  return median(batches);
}

const pluginOf = ({ manifest, digest }: BuiltPlugin, name: string, tenant = "root"): Plugin => {
  const { name: _, ...spec } = manifest;
  const annotations = tenant === "root" ? {} : { annotations: { "capstan.dev/tenant": tenant } };
  return {
    apiVersion: "capstan.dev/v1",
    kind: "Plugin",
    metadata: { name, ...annotations },
    spec: { ...spec, digest },
  };
};

function hostOf(engine: EngineName, plugins: Plugin[]): PluginHost {
  const source: PluginSource = { list: () => plugins, on: () => undefined };
  const worlds = ["filter", "score", "admission"] as const;
  const fixed = { role: "bench", instance: "0", componentsDir: components, log: silentLog };
  return createPluginHost({ ...fixed, engine, worlds, plugins: source });
}

const amounts = (cpuMilli: number, memory: number) => ({ cpuMilli, memory, ephemeralStorage: 0, others: [] });
const ids = Array.from({ length: NODES }, (_, id) => id);
const table = {
  whole: () => ({
    whole: true,
    removed: [],
    pods: [],
    nodes: ids.map((id) => ({
      id,
      name: `node-${id}`,
      allocatable: amounts(4000, 16e9),
      podsMax: 110,
      node: { metadata: { name: `node-${id}` } },
    })),
    usage: ids.map((id) => ({ id, requested: amounts(id, 1e9), nonzeroCpuMilli: id, nonzeroMemory: 1e9, pods: 3 })),
  }),
};

/** About 2 kB as JSON. */
const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name: "web",
    namespace: "default",
    labels: Object.fromEntries(ids.slice(0, 20).map((i) => [`l${i}`, "x".repeat(20)])),
  },
  spec: {
    containers: ids.slice(0, 4).map((i) => ({
      name: `c${i}`,
      image: "registry.example/team/app:1.2.3",
      env: ids.slice(0, 4).map((e) => ({ name: `VARIABLE_${e}`, value: "some value or other" })),
      resources: { requests: { cpu: "100m", memory: "128Mi" } },
    })),
  },
} as unknown as DynamicObject;
const request: AdmissionRequest = {
  tenantName: "root",
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  subresource: "",
  namespace: "default",
  name: "web",
  object: pod,
  dryRun: false,
  user: { name: "alice", groups: ["system:authenticated"] },
};

async function engineFigures(name: EngineName, fixture: BuiltPlugin, second: BuiltPlugin): Promise<void> {
  const engine = createEngine(name, { cacheDir: join(scratch, `cache-${name}`), importPrefixes: [CONTRACT_PREFIX] });
  const bytes = readFileSync(fixture.path);
  const started = performance.now();
  const component = await engine.load(bytes, fixture.digest);
  note("install to first call, first time on the machine", "≤ 3 s", name, ms(performance.now() - started));
  // What `up` has compiled is there for whoever installs a plugin.
  const later = performance.now();
  await engine.load(readFileSync(second.path), second.digest);
  note("the same, after another component", "≤ 3 s", name, ms(performance.now() - later));
  const own = { config: "{}", facts: "{}" };
  const make = () =>
    component.instantiate({ memoryBytesMax: 64 * MiB, deadlineMs: 10_000, host: () => undefined, own, pure: true });
  const once = performance.now();
  const instance = await make();
  const normalize = () => instance.call("capstan:plugin/score-hooks@1.0.0", "normalize", [new Int32Array(0)], 1000);
  await normalize();
  note("instance and first call, compiled", "≤ 50 ms", name, ms(performance.now() - once));
  note("call without work", "≤ 5 µs", name, ms(await timed(normalize)));
  const instances: number[] = [];
  for (let i = 0; i < (name === "jco" ? 10 : 100); i++) {
    const at = performance.now();
    const made = await make();
    instances.push(performance.now() - at);
    await made.discard();
  }
  note("instance from the cache", "≤ 0.2 ms", name, ms(median(instances)));
  await instance.discard();
}

async function hostFigures(
  name: EngineName,
  built: Record<"resources" | "stamp" | "registry", BuiltPlugin>,
): Promise<void> {
  const projected = pluginOf(built.registry, "projected");
  projected.spec.projection = { object: ["spec.containers.image"] };
  const kept = pluginOf(built.registry, "kept");
  kept.spec = { ...projected.spec, scope: "object" };
  const plugins = [pluginOf(built.resources, "node-resources"), pluginOf(built.stamp, "stamp"), kept];
  const host = hostOf(name, [...plugins, pluginOf(built.registry, "whole"), projected]);
  const scheduling = createSchedulingPlugins(host, silentLog);
  scheduling.attach(table);
  host.start();
  await host.ready();
  const [filter] = scheduling.filters("root");
  const admission = createAdmissionPlugins(host, {
    context: async () => [],
    check: (_, object) => object,
    log: silentLog,
  });
  const hooks = admission.hooks(request);
  const hookOf = (wanted: string) => hooks.find((hook) => hook.name === wanted);
  const [part, whole, stamp, before] = ["projected", "whole", "stamp", "kept"].map(hookOf);
  if (!filter || !part?.validate || !whole?.validate || !stamp?.mutate || !before?.validate)
    throw new Error("the plugins did not load");
  const stamped = (await stamp.mutate(request)).object?.metadata.labels;
  if (Object.keys(stamped ?? {}).length !== 21) throw new Error("the pod was not stamped");
  const podClass = { requests: amounts(100, 1e8), nonzeroCpuMilli: 100, nonzeroMemory: 1e8, view: "{}" };
  note(`filter of ${NODES} nodes`, "≤ 0.3 ms", name, ms(await timed(() => filter.evaluate([podClass], ids))));
  const all = await timed(() => whole.validate?.(request));
  note(`admission of a pod of ${JSON.stringify(pod).length} bytes`, "≤ 150 µs", name, ms(all));
  const webhook = await startWebhook();
  const attributes = { ...request, tenant: 1, user: { ...request.user, tenant: 1 } } as unknown as AdmissionAttributes;
  const policies = [
    { policy: "registry", what: "images looked at, shown them alone", asked: async () => part.validate?.(request) },
    {
      policy: "registry",
      what: "the same, answered before (scope object)",
      asked: async () => before.validate?.(request),
    },
    { policy: "stamp", what: "a label set by a merge patch", asked: async () => stamp.mutate?.(request) },
  ] as const;
  for (const { policy, what, asked } of policies) {
    const [component, hook] = await against(asked, () => webhook.call(policy, attributes));
    note(`admission: ${what}`, "", name, ms(component));
    note(`as an HTTPS webhook, ratio: ${what}`, "≥ 20×", name, `${(hook / component).toFixed(1)}× (${ms(hook)})`);
  }
  await webhook.close();
  await host.close();
}

const ROUNDS = 5;

/** Milliseconds of both, in turns: what else the machine does falls on both alike. */
async function against(one: () => Promise<unknown>, other: () => Promise<unknown>): Promise<[number, number]> {
  const took: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    took[0].push(await timed(one));
    took[1].push(await timed(other));
  }
  return [median(took[0]), median(took[1])];
}

const IDLE = 1000;

async function idleMemory(name: EngineName, what: string, plugins: Plugin[]): Promise<void> {
  const before = process.memoryUsage.rss();
  const host = hostOf(name, plugins);
  host.start();
  await host.ready();
  const grown = (process.memoryUsage.rss() - before) / MiB;
  const serving = plugins.filter(({ metadata }) => {
    const tenant = metadata.annotations?.["capstan.dev/tenant"];
    return host.status(`${tenant}/${metadata.name}`)?.state === "serving";
  }).length;
  note(`${serving} installed plugins in 100 tenants, idle, ${what}`, "< 1 GiB", name, `${Math.round(grown)} MiB`);
  await host.close();
}

/** A thousand components of their own bytes: each has another section at its end that says nothing. */
function distinct(one: BuiltPlugin): BuiltPlugin[] {
  const bytes = readFileSync(one.path);
  const cache = join(components, "cache");
  const prefix = one.digest.replace(":", "-");
  const compiled = readdirSync(cache).find((file) => file.startsWith(prefix) && file.endsWith(".cwasm")) ?? "";
  return Array.from({ length: IDLE }, (_, i) => {
    const content = Buffer.from(`\u0001n${i}`);
    const other = Buffer.concat([bytes, Buffer.from([0, content.length]), content]);
    const digest = `sha256:${sha256(other)}`;
    const path = componentPath(components, digest);
    writeFileSync(path, other);
    // Compiling them would take half an hour; the code is the same, and each maps a file of its own.
    linkSync(join(cache, compiled), join(cache, compiled.replace(prefix, digest.replace(":", "-"))));
    return { ...one, digest, path };
  });
}

const ofTenants = (built: (i: number) => BuiltPlugin): Plugin[] =>
  Array.from({ length: IDLE }, (_, i) => pluginOf(built(i), `p${i}`, `tenant-${i % 100}`));

async function main(): Promise<void> {
  const wanted = process.argv.slice(2) as EngineName[];
  const engines = (["wasmtime", "jco"] as const).filter((name) => wanted.length === 0 || wanted.includes(name));
  const build = (dir: string) => buildPlugin(join(ROOT, dir), components);
  const resources = await build("plugins/node-resources");
  const affinity = await build("plugins/node-affinity");
  const stamp = await build("e2e/plugins/stamp");
  note("a TypeScript component", "≤ 1.8 MB", "wasmtime", `${(statSync(stamp.path).size / 1e6).toFixed(2)} MB`);
  const registry = await build("e2e/plugins/registry");
  for (const name of engines) {
    if (name === "wasmtime" && !addonReady()) continue;
    await engineFigures(name, affinity, resources);
    await hostFigures(name, { resources, stamp, registry });
    await idleMemory(
      name,
      "one component",
      ofTenants(() => stamp),
    );
    if (name !== "wasmtime") continue;
    const others = distinct(stamp);
    await idleMemory(
      name,
      "each another",
      ofTenants((i) => others[i] ?? stamp),
    );
  }
  const widths = [0, 1].map((i) => Math.max(...rows.map((row) => String(row[i]).length)));
  for (const [what, target, figures] of rows) {
    const shown = engines.map((name) => `${name}: ${figures[name] ?? "–"}`.padEnd(28)).join("");
    process.stdout.write(`${what.padEnd(widths[0] ?? 0)}  ${target.padEnd(widths[1] ?? 0)}  ${shown}\n`);
  }
}

try {
  await main();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
