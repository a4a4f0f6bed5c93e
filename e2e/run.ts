/**
 * Runs all tests, or those whose path contains one of the arguments. Tests beside the code run two at a time; those in e2e's folders
 * start whole instances and run one after the other. Ends with what failed once more, then one line: N passed, N failed, N skipped.
 */
import { globSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { run } from "node:test";
import { buildArtifacts, prepareEngine } from "#platform/main/artifacts.ts";
import { installPackages, isRoot, missingPackages } from "#platform/main/host.ts";
import { findProgram } from "#platform/main/run.ts";
import { step } from "#platform/main/steps.ts";

const root = resolve(import.meta.dirname, "..");
const wanted = process.argv.slice(2);
const totals = { passed: 0, failed: 0, skipped: 0 };
/** Said again at the end: whoever sees only the last lines of a long run sees these. */
const failures: string[] = [];

const files = (pattern: string) =>
  globSync(pattern, { cwd: root, exclude: ["**/node_modules/**", "**/target/**", "**/dist/**"] })
    .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
    .sort()
    .map((file) => resolve(root, file));

/** Only for tests; the product's own packages are host.ts's. */
const testPackages = [
  { program: "chromium", name: "chromium" },
  { program: "clang", name: "clang" },
  { program: "wasm-ld", name: "lld" },
  { program: "docker-registry", name: "docker-registry" },
];

/** Everything that tests would skip for: Debian's packages where we may install them, the wasmtime addon, the components. */
async function prepareMachine(): Promise<void> {
  const scratch = join(root, ".capstan-test");
  const wanted = [
    ...testPackages.filter(({ program }) => !findProgram(program)).map(({ name }) => name),
    ...missingPackages().map(({ name }) => name),
  ];
  if (wanted.length > 0 && isRoot() && findProgram("apt-get"))
    await step(
      "Debian packages",
      (s) => installPackages(scratch, wanted, s),
      () => wanted.join(" "),
    );
  const { engine } = await step(
    "component engine",
    (s) => prepareEngine(undefined, scratch, s),
    (e) => e.describe,
  );
  await step("components and console", (s) => buildArtifacts(engine, s));
}

function group(title: string, list: string[], concurrency: number): Promise<void> {
  if (list.length === 0) return Promise.resolve();
  console.log(`\n${title}: ${list.length} files`);
  return new Promise((done) => {
    const execArgv = ["--import", join(import.meta.dirname, "support/end.ts")];
    const stream = run({ files: list, concurrency, timeout: 15 * 60_000, execArgv });
    stream.on("test:pass", (event) => {
      if (event.details.type === "suite") return;
      const where = event.file ? relative(root, event.file) : "";
      if (event.skip !== undefined) {
        totals.skipped++;
        console.log(`- ${where}: ${event.name}  skipped: ${typeof event.skip === "string" ? event.skip : ""}`);
      } else {
        totals.passed++;
        console.log(`✔ ${where}: ${event.name} (${Math.round(event.details.duration_ms)} ms)`);
      }
    });
    stream.on("test:fail", (event) => {
      if (event.details.type === "suite") return;
      totals.failed++;
      const error = event.details.error as typeof event.details.error & { exitCode?: number; signal?: string };
      const ended = error.signal
        ? ` (ended by ${error.signal})`
        : error.exitCode
          ? ` (exit code ${error.exitCode})`
          : "";
      failures.push(
        `✖ ${event.file ? relative(root, event.file) : ""}: ${event.name}${ended}\n    ${String(error.cause instanceof Error ? error.cause.stack : (error.cause ?? error.message)).replaceAll("\n", "\n    ")}`,
      );
      console.log(failures.at(-1));
    });
    stream.on("test:stderr", (event) => process.env["VERBOSE"] && process.stderr.write(event.message));
    stream.on("end", () => done());
    stream.resume();
  });
}

await prepareMachine();
const beside = files("{db,sdk,platform,plugins,web}/**/*.test.{ts,tsx}").concat(files("e2e/*.test.ts"));
await group("beside the code", beside, 2);
await group("end to end", files("e2e/*/**/*.test.ts"), 1);
if (failures.length > 0) console.log(`\nfailed:\n${failures.join("\n")}`);
console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exit(totals.failed > 0 ? 1 : 0);
