/**
 * What a tenant's hostile plugin costs others: `node e2e/bench/hostile.ts [BEHAVIOUR …]`. For each kind of hostility, windows with the plugin
 * enabled and disabled take turns, under the same requests of its owner; printed is by how much the p99 of creates and of another tenant's
 * plugin's calls rises, over all windows (a window alone has too few of the slowest) and the least and most of a pair of windows. Target:
 * 10 % at most. Nothing else should run meanwhile.
 */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { paths } from "#platform/main/config.ts";
import { capabilitiesDigest } from "#sdk/plugin/approval.ts";
import { type BuiltPlugin, buildPlugin } from "#sdk/plugin/build.ts";
import type { Plugin } from "#sdk/plugin/manifest.ts";
import { eventually, type Instance, startInstance } from "../support/instance.ts";
import { type RawApi, rawApi } from "../support/raw-api.ts";
import { median } from "./webhook.ts";

const BEHAVIOURS = [
  "none",
  "trap",
  "loop",
  "memory",
  "garbage",
  "huge",
  "chatty",
  "verbose",
  "large",
  "lines",
  "calls",
];
/** Behaviours of another plugin than `hostile`. */
const PLUGIN_OF: Record<string, string> = { calls: "flooding" };
const ROUNDS = 10;
const WINDOW_MS = 2_000;
/** Of the hostile plugin's owner. */
const REQUEST_EVERY_MS = 50;
const OUTSTANDING_MAX = 20;
const PLUGINS = "/apis/capstan.dev/v1/plugins";
const CONFIGMAPS = "/api/v1/namespaces/default/configmaps";
const SUBJECTS = ["creates", "plugin calls"] as const;
type Subject = (typeof SUBJECTS)[number];
type Times = Record<Subject, number[]>;

let made = 0;
const configMap = (of = "mine"): string => JSON.stringify({ metadata: { name: `made-${made++}` }, data: { of } });
/** As much as the plugin makes of an object with the behaviour `large`: the owner writes that much without it. */
const LARGE = "x".repeat(200 * 1024);

async function create(api: RawApi, path: string, object: object): Promise<void> {
  const { code, text } = await api.send("POST", path, JSON.stringify(object));
  if (code !== 201) throw new Error(text);
}

async function tenant(capstan: Instance, name: string): Promise<RawApi> {
  const created = await capstan.capstan("tenant", "create", name);
  if (created.code !== 0) throw new Error(created.stderr);
  const file = join(capstan.dataDir, `${name}.kubeconfig`);
  writeFileSync(file, created.stdout, { mode: 0o600 });
  return rawApi(file);
}

const pluginOf = ({ manifest, digest }: BuiltPlugin, name: string, more: Partial<Plugin["spec"]> = {}): Plugin => {
  const { name: _, ...spec } = manifest;
  return { apiVersion: "capstan.dev/v1", kind: "Plugin", metadata: { name }, spec: { ...spec, digest, ...more } };
};

/** Until `ended`: so many requests a second, whatever becomes of them. */
async function provoke(api: RawApi, of: string, ended: AbortSignal): Promise<void> {
  let outstanding = 0;
  while (!ended.aborted) {
    if (outstanding < OUTSTANDING_MAX) {
      outstanding++;
      const done = () => void outstanding--;
      api.send("POST", CONFIGMAPS, configMap(of)).then(done, done);
    }
    await delay(REQUEST_EVERY_MS);
  }
}

/** Milliseconds of each create in a window, one after the other, in turn of both subjects. */
async function measure(apis: Record<Subject, RawApi>): Promise<Times> {
  const times: Times = { creates: [], "plugin calls": [] };
  const end = performance.now() + WINDOW_MS;
  while (performance.now() < end)
    for (const subject of SUBJECTS) {
      const started = performance.now();
      const { code, text } = await apis[subject].send("POST", CONFIGMAPS, configMap());
      if (code !== 201) throw new Error(`${subject}: ${text}`);
      times[subject].push(performance.now() - started);
    }
  return times;
}

const p99 = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? Number.NaN;
const ms = (value: number) => `${value.toFixed(1)} ms`;

async function pairs(behaviour: string, hostile: RawApi, apis: Record<Subject, RawApi>): Promise<void> {
  const rounds: Record<Subject, { without: number[]; beside: number[] }[]> = { creates: [], "plugin calls": [] };
  const turn = async (enabled: boolean): Promise<Times> => {
    const body = JSON.stringify({ spec: { enabled, config: { behaviour } } });
    const headers = { "content-type": "application/merge-patch+json" };
    const { code, text } = await hostile.send(
      "PATCH",
      `${PLUGINS}/${PLUGIN_OF[behaviour] ?? "hostile"}`,
      body,
      headers,
    );
    if (code !== 200) throw new Error(text);
    const stop = new AbortController();
    const provoking = provoke(hostile, behaviour === "large" && !enabled ? LARGE : "mine", stop.signal);
    // Whichever window it is, what the change itself costs is over.
    await delay(WINDOW_MS / 2);
    const times = await measure(apis);
    stop.abort();
    await provoking;
    return times;
  };
  for (let round = 0; round < ROUNDS; round++) {
    const first = round % 2 === 0;
    const [a, b] = [await turn(first), await turn(!first)];
    for (const subject of SUBJECTS) {
      const [beside, without] = [(first ? a : b)[subject], (first ? b : a)[subject]];
      rounds[subject].push({ without, beside });
    }
  }
  await turn(false);
  for (const subject of SUBJECTS) {
    const all = rounds[subject];
    const ratios = all.map(({ without, beside }) => p99(beside) / p99(without));
    const of = (side: "without" | "beside") => p99(all.flatMap((one) => one[side]));
    const spread = `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`;
    const sides = `p99 without ${ms(of("without")).padStart(9)}, beside ${ms(of("beside")).padStart(9)}`;
    const ratio = `ratio ${(of("beside") / of("without")).toFixed(2)} (pairs ${spread}, median ${median(ratios).toFixed(2)})`;
    process.stdout.write(`${behaviour.padEnd(10)} ${subject.padEnd(14)} ${sides}  ${ratio}\n`);
  }
}

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  const capstan = await startInstance({ nodes: 0 });
  const scratch = mkdtempSync(join(tmpdir(), "capstan-bench-hostile-"));
  const open: RawApi[] = [];
  try {
    const build = async (name: string) => {
      const built = await buildPlugin(resolve(import.meta.dirname, "../plugins", name), scratch);
      copyFileSync(built.path, join(paths(capstan.dataDir).components, basename(built.path)));
      return built;
    };
    const [bad, flooding, good] = [await build("hostile"), await build("flooding"), await build("stamp")];
    const root = rawApi(capstan.kubeconfig);
    const [hostile, other] = [await tenant(capstan, "hostile"), await tenant(capstan, "other")];
    open.push(root, hostile, other);
    await create(hostile, PLUGINS, pluginOf(bad, "hostile", { enabled: false }));
    const approved = [capabilitiesDigest(flooding.manifest.capabilities)];
    await create(hostile, PLUGINS, pluginOf(flooding, "flooding", { enabled: false, approved }));
    await create(other, PLUGINS, pluginOf(good, "stamp", { match: bad.manifest.match }));
    await eventually("the other tenant's plugin", async () => {
      const { text } = await other.send("POST", CONFIGMAPS, configMap());
      return text.includes("stamped");
    });
    const apis = { creates: root, "plugin calls": other };
    // A server that has just started is slower, whatever is beside it.
    for (let window = 0; window < ROUNDS; window++) await measure(apis);
    for (const behaviour of BEHAVIOURS)
      if (wanted.length === 0 || wanted.includes(behaviour)) await pairs(behaviour, hostile, apis);
  } finally {
    for (const api of open) api.close();
    rmSync(scratch, { recursive: true, force: true });
    await capstan.remove();
  }
}

await main();
