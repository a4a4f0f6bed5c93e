/** The lists of test names: one name a line, as Ginkgo says it (container texts and the test's own, joined by spaces). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const testsDir = join(import.meta.dirname, "tests");
/** Tests that pass. It only grows: a name that leaves it is a regression, whoever's change it was. */
export const mustPassFile = join(import.meta.dirname, "must-pass.txt");
/** The same of tests that are not marked as conformance. */
export const mustPassBeyondFile = join(import.meta.dirname, "must-pass-beyond.txt");

/** What cannot pass in a tenant, each under the reason. */
export const tenantExceptionsFile = join(import.meta.dirname, "tenant-exceptions.txt");

/** What one node is not enough for. */
export const twoNodesFile = join(import.meta.dirname, "two-nodes.txt");

export const readNames = (file: string): string[] =>
  readFileSync(file, "utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));

/** The SIGs that have a list, by the name that `--sig` takes. */
export const sigs = (): string[] =>
  readdirSync(testsDir)
    .flatMap((file) => /^sig-(.+)\.txt$/.exec(file)?.[1] ?? [])
    .sort();

export const namesOfSig = (sig: string): string[] => readNames(join(testsDir, `sig-${sig}.txt`));

/** "api-machinery" of "[sig-api-machinery] Watchers should …". */
export const sigOf = (name: string): string => /^\[sig-([a-z-]+)\]/.exec(name)?.[1] ?? "other";

const quoted = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/** A regular expression (Go's syntax) that finds these names and none that merely begin like one of them. */
export const patternOf = (names: readonly string[]): string => `(?:${names.map(quoted).join("|")})$`;
