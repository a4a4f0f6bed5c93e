/**
 * What a plugin's hooks cost: the last call of each of its test cases, again and again, made as the platform makes root's: on the caller's thread
 * where the plugin only computes, and by `admission-texts` where it has them.
 */
import { readFileSync } from "node:fs";
import { type Component, type Engine, EngineError } from "../engine/port.ts";
import { type BuildOptions, type BuiltPlugin, buildPlugin } from "../plugin/build.ts";
import type { Review } from "../plugin/types.ts";
import { type NamedCase, type ResolvedCall, readCases, resolveCall } from "./cases.ts";
import { startCase } from "./test.ts";

export interface Measured {
  case: string;
  hook: string;
  calls: number;
  /** Microseconds of whole calls. */
  p50: number;
  p99: number;
  /** Microseconds of the guest alone, on average. */
  guest: number;
  memoryBytes: number;
}

export interface BenchResult {
  built: BuiltPlugin;
  /** Milliseconds; the first includes compiling where it was not cached. */
  loadMs: number;
  instanceMs: number;
  measured: Measured[];
}

const INSTANCES = 10;
/** One case is measured for so long at most. */
const CASE_MS_MAX = 30_000;

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;

export async function benchPlugin(
  dir: string,
  options: { engine: Engine; outDir: string; calls: number; build?: BuildOptions },
): Promise<BenchResult> {
  const built = await buildPlugin(dir, options.outDir, options.build);
  const started = performance.now();
  const component = await options.engine.load(readFileSync(built.path), built.digest);
  const loadMs = performance.now() - started;
  const cases = readCases(dir);
  const times: number[] = [];
  for (let i = 0; i < INSTANCES; i++) {
    const at = performance.now();
    const { instance } = await startCase(component, built.manifest, cases[0]?.case ?? { ...EMPTY }, { pure: true });
    times.push(performance.now() - at);
    await instance.discard();
  }
  const measured: Measured[] = [];
  for (const named of cases) measured.push(await measure(named, built, component, options.calls));
  return {
    built,
    loadMs,
    instanceMs: quantile(
      times.sort((a, b) => a - b),
      0.5,
    ),
    measured,
  };
}

const TEXTS = "capstan:plugin/admission-texts@1.0.0";

/** A review as texts, where the component takes them (sdk/wit/v1/admission.wit). */
function asAsked({ exports }: Component, call: ResolvedCall): ResolvedCall {
  if (!exports.has(TEXTS) || call.interfaceName !== TEXTS.replace("texts", "hooks")) return call;
  const review = call.arguments[0] as Review;
  const { operation, group, version, kind, resource, subresource, namespace, name, dryRun, user } = review;
  const place = [operation, group, version, kind, resource, subresource, namespace, name];
  const request = JSON.stringify([...place, dryRun, JSON.parse(user || "{}")]);
  return { ...call, interfaceName: TEXTS, arguments: [request, review.object, review.oldObject, review.context] };
}

const EMPTY = { description: "", objects: [], answers: [], calls: [] };

async function measure(named: NamedCase, built: BuiltPlugin, component: Component, calls: number): Promise<Measured> {
  const { instance } = await startCase(component, built.manifest, named.case, { pure: true });
  const limit = built.manifest.limits.deadlineMs;
  const call = async (at: ResolvedCall) => {
    try {
      await instance.call(at.interfaceName, at.functionName, at.arguments, limit);
    } catch (error) {
      // A hook's own failure is an answer; an instance that ended is none.
      if (!(error instanceof EngineError) || error.ended) throw error;
    }
  };
  try {
    const given = named.case.calls;
    const last = given.findLast((c) => c.failure === undefined) ?? given.at(-1);
    for (const before of given.slice(0, -1)) await call(asAsked(component, resolveCall(built.manifest, before)));
    const resolved = asAsked(component, resolveCall(built.manifest, last ?? { hook: "", arguments: [] }));
    const times: number[] = [];
    let guest = 0;
    const until = performance.now() + CASE_MS_MAX;
    while (times.length < calls && performance.now() < until) {
      const at = performance.now();
      await call(resolved);
      times.push((performance.now() - at) * 1000);
      guest += instance.cost.micros;
    }
    times.sort((a, b) => a - b);
    return {
      case: named.name,
      hook: resolved.functionName,
      calls: times.length,
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
      guest: guest / Math.max(1, times.length),
      memoryBytes: instance.cost.memoryBytes,
    };
  } finally {
    await instance.discard();
  }
}
