/** Runs a plugin's test cases against a mock host. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DynamicObject } from "../api/object.ts";
import { type Component, type Engine, EngineError, type HostCall, type Instance } from "../engine/port.ts";
import { type BuildOptions, type BuiltPlugin, buildPlugin } from "../plugin/build.ts";
import { type Manifest, onlyComputes } from "../plugin/manifest.ts";
import { createMockHost, type MockHost } from "../testing/plugin-host.ts";
import { difference } from "../testing/plugin-values.ts";
import { type Case, type CaseCall, type NamedCase, readCases, resolveCall, resourceOf } from "./cases.ts";
import { mapStack } from "./stack.ts";

const MiB = 1024 * 1024;
/** A budget counts the quickest of so many. */
const BUDGET_RUNS = 10;
const START_MS_MIN = 10_000;

export interface CaseResult {
  name: string;
  /** Undefined: passed. */
  wrong?: string;
  /** Microseconds of the guest over all calls. */
  micros: number;
  memoryBytes: number;
  log: readonly string[];
}

export interface TestOptions {
  engine: Engine;
  /** Where components are kept. */
  outDir: string;
  build?: BuildOptions;
  /** Answers what the case does not: its answers are written into the file. */
  record?: HostCall;
}

export interface Started {
  instance: Instance;
  host: MockHost;
}

/** `live`: answers what the case does not. `pure`: on this thread, where the platform would call root's on the caller's. */
export interface StartOptions {
  live?: HostCall | undefined;
  pure?: boolean;
}

/** An instance of a case. The caller discards it. */
export async function startCase(
  component: Component,
  manifest: Manifest,
  given: Case,
  { live, pure = false }: StartOptions = {},
): Promise<Started> {
  const host = await createMockHost({
    manifest,
    config: given.config,
    facts: given.facts,
    objects: (given.objects as DynamicObject[]).map((object) => ({ resource: resourceOf(object), object })),
    files: given.files,
    answers: given.answers as never,
    now: given.now === undefined ? undefined : Date.parse(given.now),
    live,
  });
  const instance = await component.instantiate({
    memoryBytesMax: manifest.limits.memoryMiB * MiB,
    ...(manifest.limits.fuel === undefined ? {} : { fuelMax: manifest.limits.fuel }),
    deadlineMs: Math.max(manifest.limits.deadlineMs, START_MS_MIN),
    host: host.call,
    ...(pure && onlyComputes(manifest) ? { pure, own: textsOf(manifest, given) } : {}),
  });
  return { instance, host };
}

const textsOf = (manifest: Manifest, { config, facts }: Case) => ({
  config: JSON.stringify(config ?? manifest.config),
  facts: JSON.stringify({ role: "test", instance: "0", ...facts }),
});

/** Builds, then runs every case in an instance of its own. */
export async function testPlugin(
  dir: string,
  options: TestOptions,
): Promise<{ built: BuiltPlugin; results: CaseResult[] }> {
  const built = await buildPlugin(dir, options.outDir, options.build);
  const cases = readCases(dir);
  const counted = cases.some(({ case: { calls } }) => calls.some(({ budget }) => budget?.fuel !== undefined));
  const fuel = counted || built.manifest.limits.fuel !== undefined;
  const component = await options.engine.load(readFileSync(built.path), built.digest, { fuel });
  const results: CaseResult[] = [];
  for (const named of cases) results.push(await runCase(component, built, named, options));
  return { built, results };
}

async function runCase(
  component: Component,
  built: BuiltPlugin,
  named: NamedCase,
  options: TestOptions,
): Promise<CaseResult> {
  const { instance, host } = await startCase(component, built.manifest, named.case, { live: options.record });
  const result: CaseResult = { name: named.name, micros: 0, memoryBytes: 0, log: host.log };
  try {
    for (const [i, call] of named.case.calls.entries()) {
      const wrong = await runCall(instance, host, built.manifest, call, result);
      if (wrong === undefined) continue;
      result.wrong = mapStack(`call ${i + 1} (${call.hook}): ${wrong}`, `${built.path}.map`);
      break;
    }
  } finally {
    await instance.discard();
  }
  if (options.record && host.recorded.length > 0 && result.wrong === undefined) keepRecorded(named, host);
  return result;
}

const keepRecorded = (named: NamedCase, host: MockHost): void =>
  writeFileSync(
    named.path,
    `${JSON.stringify({ ...named.raw, answers: [...named.case.answers, ...host.recorded] }, null, 2)}\n`,
  );

async function runCall(
  instance: Instance,
  host: MockHost,
  manifest: Manifest,
  call: CaseCall,
  result: CaseResult,
): Promise<string | undefined> {
  const resolved = resolveCall(manifest, call);
  const deadlineMs = manifest.limits.hookDeadlinesMs[resolved.functionName] ?? manifest.limits.deadlineMs;
  const once = () => instance.call(resolved.interfaceName, resolved.functionName, resolved.arguments, deadlineMs);
  let wrong: string | undefined;
  try {
    const value = await once();
    if (call.failure) return `it succeeded, expected the failure ${call.failure.reason}`;
    if (call.expect !== undefined) wrong = difference(call.expect, value);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    wrong = failed(call, error, host);
  }
  result.micros += instance.cost.micros;
  result.memoryBytes = Math.max(result.memoryBytes, instance.cost.memoryBytes);
  return wrong ?? saidAndWritten(call, host) ?? (await overBudget(call, instance, once));
}

function failed(call: CaseCall, error: EngineError, host: MockHost): string | undefined {
  if (error.kind !== "failure")
    return `it was stopped (${error.kind}): ${error.message}\n${host.log.slice(-20).join("\n")}`;
  if (call.failure) return difference(call.failure, error.payload, "the failure");
  const { reason, message } = error.payload as { reason: string; message: string };
  return `it failed with ${reason}: ${message}\n${host.log.slice(-20).join("\n")}`;
}

function saidAndWritten(call: CaseCall, host: MockHost): string | undefined {
  const missing = call.log.find((text) => !host.log.some((line) => line.includes(text)));
  if (missing !== undefined) return `the log has no line with "${missing}":\n${host.log.slice(-20).join("\n")}`;
  return call.writes && difference(call.writes, [...host.writes], "the writes");
}

async function overBudget(
  { budget, failure }: CaseCall,
  instance: Instance,
  once: () => Promise<unknown>,
): Promise<string | undefined> {
  if (!budget) return undefined;
  const { fuel = 0 } = instance.cost;
  if (budget.fuel !== undefined && fuel > budget.fuel)
    return `it cost ${fuel} units of work, of a budget of ${budget.fuel}`;
  let micros = instance.cost.micros;
  if (budget.micros !== undefined && !failure)
    for (let run = 1; run < BUDGET_RUNS && micros > budget.micros; run++) {
      await once();
      micros = Math.min(micros, instance.cost.micros);
    }
  if (budget.micros !== undefined && micros > budget.micros)
    return `it took ${Math.round(micros)} µs at best, of a budget of ${budget.micros}`;
  const memoryMiB = instance.cost.memoryBytes / MiB;
  if (budget.memoryMiB !== undefined && memoryMiB > budget.memoryMiB)
    return `the instance has ${memoryMiB.toFixed(1)} MiB, of a budget of ${budget.memoryMiB}`;
  return undefined;
}

/** Where a plugin's own folder keeps what is built of it. */
export const outDirOf = (dir: string): string => join(dir, "dist");
