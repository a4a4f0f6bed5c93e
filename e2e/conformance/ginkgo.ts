/** Runs the suite with Ginkgo and reads its report. */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { run } from "#platform/main/run.ts";
import { binDir } from "./suite.ts";

export interface TestResult {
  name: string;
  passed: boolean;
  seconds: number;
  /** The first failure's words, and where the suite found it; absent when the test passed. */
  error?: string;
  location?: string;
}

export interface SuiteRun {
  results: TestResult[];
  /** Ginkgo's own exit code. */
  code: number;
  /** Where its output is. */
  log: string;
  /** Why nothing ran, where the suite failed before its first test. */
  problem?: string;
}

const text = z.string().nullish();
const reports = z.array(
  z.object({
    SpecialSuiteFailureReasons: z.array(z.string()).nullish(),
    SpecReports: z
      .array(
        z.object({
          ContainerHierarchyTexts: z.array(z.string()).nullish(),
          LeafNodeType: z.string(),
          LeafNodeText: text,
          State: z.string(),
          RunTime: z.number().nullish(),
          Failure: z
            .object({
              Message: text,
              Location: z.object({ FileName: text, LineNumber: z.number().nullish() }).nullish(),
            })
            .nullish(),
        }),
      )
      .nullish(),
  }),
);

type Spec = NonNullable<z.infer<typeof reports>[number]["SpecReports"]>[number];

/** States in Ginkgo's words; those of a test that did not run are left out. */
const notRun = new Set(["skipped", "pending"]);
const NANOSECONDS = 1e9;

function resultOf(spec: Spec): TestResult {
  const name = [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText ?? ""].join(" ");
  const passed = spec.State === "passed";
  const place = spec.Failure?.Location;
  return {
    name,
    passed,
    seconds: Math.round((spec.RunTime ?? 0) / (NANOSECONDS / 10)) / 10,
    ...(passed ? {} : { error: spec.Failure?.Message?.trim() || spec.State }),
    ...(passed || !place?.FileName ? {} : { location: `${place.FileName}:${place.LineNumber ?? 0}` }),
  };
}

/** Reads Ginkgo's JSON report: the tests that ran, and why the suite failed as a whole. */
export function parseReport(json: string): { results: TestResult[]; problem?: string } {
  const parsed = reports.parse(JSON.parse(json));
  const specs = parsed.flatMap((report) => report.SpecReports ?? []);
  const results = specs.filter((s) => s.LeafNodeType === "It" && !notRun.has(s.State)).map(resultOf);
  const setUp = specs.find((s) => s.LeafNodeType !== "It" && s.State !== "passed" && !notRun.has(s.State));
  const reasons = parsed.flatMap((report) => report.SpecialSuiteFailureReasons ?? []);
  const problem = setUp ? resultOf(setUp).error : results.length === 0 ? reasons.join("; ") : "";
  return { results, ...(problem ? { problem } : {}) };
}

/** Serial tests run alone after the others: Ginkgo keeps them apart by itself. */
export async function runSuite(options: {
  buildDir: string;
  kubeconfig: string;
  pattern: string;
  processes: number;
  minutes: number;
  reportDir: string;
}): Promise<SuiteRun> {
  mkdirSync(options.reportDir, { recursive: true });
  const bin = binDir(options.buildDir);
  const report = join(options.reportDir, "ginkgo.json");
  const log = join(options.reportDir, "suite.log");
  rmSync(report, { force: true });
  const kubectl = `--kubectl-path=${join(bin, "kubectl")}`;
  const suite = [`--kubeconfig=${options.kubeconfig}`, kubectl, "--provider=local", "--disable-log-dump"];
  const args = [
    ...[`--procs=${options.processes}`, "--no-color", `--timeout=${options.minutes}m`, "--json-report=ginkgo.json"],
    ...[`--output-dir=${options.reportDir}`, `--focus=${options.pattern}`, join(bin, "e2e.test"), "--", ...suite],
  ];
  // The suite says much: its output goes to a file by the shell, which is given only fixed words.
  const script = 'log=$1; shift; exec "$@" > "$log" 2>&1';
  const finished = await run("sh", ["-c", script, "sh", log, join(bin, "ginkgo"), ...args], { cwd: bin });
  if (!existsSync(report))
    return { results: [], code: finished.code, log, problem: `Ginkgo wrote no report: see ${log}` };
  return { ...parseReport(readFileSync(report, "utf8")), code: finished.code, log };
}
