/**
 * `node e2e/bench/admission.ts`: creates of pods a second with the admission that is on by default, and with three more components on, in turns on
 * one API server. Target: at least 0.7 times as many. Needs Go for the load client, and nothing else running.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Pod } from "#sdk/api/generated/types.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { createClient } from "#sdk/client/client.ts";
import type { Client } from "#sdk/client/port.ts";
import type { Plugin } from "#sdk/plugin/manifest.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { must } from "../conformance/program.ts";
import type { PhaseResult } from "./scenarios.ts";
import { capstan, ensureServiceAccount, type Side } from "./sides.ts";
import { median } from "./webhook.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "6" },
    clients: { type: "string", default: "50" },
    /** Asked each time, as for pods of which no two look alike; otherwise their answers are kept as their manifests say. */
    uncached: { type: "boolean", default: false },
    "build-dir": { type: "string" },
  },
});

/** Off by default; all of them look at each pod, and the first changes it. The load client's images have no tags. */
const MORE = ["always-pull-images", "image-policy", "extended-resource-toleration"];
const CONFIG: Record<string, JsonObject> = { "image-policy": { deniedTags: ["none"], mode: "enforce" } };
const PLUGINS = { group: "capstan.dev", version: "v1", resource: "plugins" };
const PODS = { group: "", version: "v1", resource: "pods" };
const WAIT_MS = 60_000;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function isOn(client: Client): Promise<boolean> {
  const metadata = { name: "probe", namespace: "default" };
  const spec = { containers: [{ name: "c", image: "example:1" }] };
  const made = await client.create<Pod>(PODS, { apiVersion: "v1", kind: "Pod", metadata, spec } as Pod, {
    dryRun: true,
  });
  return made.spec?.containers[0]?.imagePullPolicy === "Always";
}

const specOf = (name: string, enabled: boolean): JsonObject => ({
  enabled,
  ...(CONFIG[name] ? { config: CONFIG[name] } : {}),
  ...(values.uncached ? { scope: "call" } : {}),
});

async function turn(client: Client, enabled: boolean): Promise<void> {
  // The one that shows goes last: what it shows is that all are there.
  for (const name of MORE.toReversed())
    await client.patch<Plugin>(PLUGINS, { name }, { type: "merge", body: { spec: specOf(name, enabled) } });
  const until = performance.now() + WAIT_MS;
  while ((await isOn(client)) !== enabled) {
    if (performance.now() > until) throw new Error(`components are not ${enabled ? "on" : "off"} after a minute`);
    await delay(100);
  }
  await delay(1_000);
}

async function perSecond(load: string, side: Side): Promise<number> {
  const files = ["--servers", side.servers.join(","), "--cert", side.cert, "--key", side.key];
  const args = ["--clients", values.clients, "--seconds", values.seconds, "--phases", "create-pods"];
  const printed = (await must(load, [...files, ...args])).trim();
  const result = JSON.parse(printed.split("\n").at(-1) ?? "{}") as PhaseResult;
  if (result.errors > 0) throw new Error(`creates failed: ${printed}`);
  return result.per_second;
}

async function main(): Promise<void> {
  const buildDir = values["build-dir"] ?? defaultBuildDir();
  mkdirSync(buildDir, { recursive: true });
  const load = join(buildDir, "load");
  await must("go", ["build", "-o", load, "."], { cwd: join(import.meta.dirname, "load") });
  const side = await capstan({ buildDir, servers: 1 });
  const pems = { ca: side.ca(), cert: readFileSync(side.cert, "utf8"), key: readFileSync(side.key, "utf8") };
  const client = createClient({ server: side.servers[0] ?? "", ...pems });
  try {
    await ensureServiceAccount(side, "default");
    // What is slow once, with and without them.
    for (const enabled of [true, false]) {
      await turn(client, enabled);
      await perSecond(load, side);
    }
    const ratios: number[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const rates = new Map<boolean, number>();
      for (const enabled of round % 2 === 0 ? [false, true] : [true, false]) {
        await turn(client, enabled);
        rates.set(enabled, await perSecond(load, side));
      }
      const [without = 0, beside = 0] = [rates.get(false), rates.get(true)];
      ratios.push(beside / without);
      say(
        `pods/s by default ${Math.round(without)}, with ${MORE.length} more ${Math.round(beside)}: ${(beside / without).toFixed(2)}`,
      );
    }
    const spread = `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`;
    say(`ratio ${median(ratios).toFixed(2)} (${spread}; target 0.7)`);
  } finally {
    client.close();
    await side.remove();
  }
}

await main();
