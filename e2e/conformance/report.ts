/** What a run says: counts, and each failure with its first error, failures of one cause together. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestResult } from "./ginkgo.ts";
import { sigOf } from "./names.ts";

export interface Report {
  passed: string[];
  failed: TestResult[];
  /** Asked for by name, and not run: the suite has no such test, or the time ended. */
  missing: string[];
  problem?: string;
}

export function summarize(
  results: readonly TestResult[],
  wanted: readonly string[] | undefined,
  problem?: string,
): Report {
  const ran = new Set(results.map(({ name }) => name));
  return {
    passed: results
      .filter(({ passed }) => passed)
      .map(({ name }) => name)
      .sort(),
    failed: results.filter(({ passed }) => !passed),
    missing: (wanted ?? []).filter((name) => !ran.has(name)),
    ...(problem ? { problem } : {}),
  };
}

const ERROR_CHARACTERS_MAX = 600;

/** The start of an error, on one line. */
export const firstError = (error: string): string => error.replace(/\s+/g, " ").trim().slice(0, ERROR_CHARACTERS_MAX);

/** Two failures are of one cause, as far as words tell, when they differ in nothing but names, numbers and times. */
export const causeOf = (error: string): string =>
  firstError(error)
    .replace(/"[^"]*"/g, '"…"')
    .replace(/\b[a-z0-9-]+-[0-9]+(-[a-z0-9-]+)*\b/g, "…")
    .replace(/[0-9a-f]{8,}|[0-9.]+/g, "…")
    .slice(0, 160);

export function groupByCause(failed: readonly TestResult[]): TestResult[][] {
  const groups = new Map<string, TestResult[]>();
  for (const result of failed) {
    const cause = causeOf(result.error ?? "");
    groups.set(cause, [...(groups.get(cause) ?? []), result]);
  }
  return [...groups.values()].sort((a, b) => b.length - a.length);
}

export const line = (report: Report): string =>
  `${report.passed.length} passed, ${report.failed.length} failed, ${report.missing.length} not run`;

export function markdown(report: Report): string {
  const bySig = new Map<string, { passed: number; all: number }>();
  const counted = [
    ...report.passed.map((name) => ({ name, passed: 1 })),
    ...report.failed.map(({ name }) => ({ name, passed: 0 })),
  ];
  for (const { name, passed } of counted) {
    const before = bySig.get(sigOf(name)) ?? { passed: 0, all: 0 };
    bySig.set(sigOf(name), { passed: before.passed + passed, all: before.all + 1 });
  }
  const rows = [...bySig].sort().map(([sig, { passed, all }]) => `| ${sig} | ${passed} | ${all} |`);
  const failures = groupByCause(report.failed).flatMap((group) => [
    `### ${firstError(group[0]?.error ?? "").slice(0, 120)}`,
    "",
    ...group.flatMap((r) => [
      `- **${r.name}** (${r.seconds} s)`,
      `  ${firstError(r.error ?? "")}`,
      ...(r.location ? [`  at ${r.location}`] : []),
    ]),
    "",
  ]);
  return [
    "# Conformance",
    "",
    line(report),
    ...(report.problem ? ["", `The suite failed as a whole: ${firstError(report.problem)}`] : []),
    "",
    "| SIG | passed | run |",
    "| --- | --- | --- |",
    ...rows,
    "",
    ...(failures.length > 0 ? ["## Failed, by cause", "", ...failures] : []),
    ...(report.missing.length > 0 ? ["## Not run", "", ...report.missing.map((name) => `- ${name}`), ""] : []),
  ].join("\n");
}

export function writeReport(dir: string, report: Report): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "report.md"), markdown(report));
  writeFileSync(join(dir, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
}
