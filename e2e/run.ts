/**
 * Runs all tests, or those whose path contains one of the arguments. Tests beside the code run two at a time; those in e2e's folders
 * start whole instances and run one after the other. Ends with one line: N passed, N failed, N skipped.
 */
import { globSync } from "node:fs";
import { relative, resolve } from "node:path";
import { run } from "node:test";
import { findProgram, run as runProgram } from "#platform/main/run.ts";

const root = resolve(import.meta.dirname, "..");
const wanted = process.argv.slice(2);
const totals = { passed: 0, failed: 0, skipped: 0 };

const files = (pattern: string) =>
  globSync(pattern, { cwd: root, exclude: ["**/node_modules/**", "**/target/**", "**/dist/**"] })
    .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
    .sort()
    .map((file) => resolve(root, file));

/** What the tests need beyond the product's own: a browser, and kubectl where Debian's is all there is. */
async function prepareMachine(): Promise<void> {
  const missing = [["chromium", "chromium"]]
    .filter(([program]) => !findProgram(program ?? ""))
    .map(([, name]) => name ?? "");
  if (missing.length === 0 || process.getuid?.() !== 0 || !findProgram("apt-get")) return;
  console.log(`installing ${missing.join(" ")} for the tests …`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await runProgram("apt-get", ["update", "-q"], { env });
  await runProgram("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...missing], { env });
}

function group(title: string, list: string[], concurrency: number): Promise<void> {
  if (list.length === 0) return Promise.resolve();
  console.log(`\n${title}: ${list.length} files`);
  return new Promise((done) => {
    const stream = run({ files: list, concurrency, timeout: 15 * 60_000 });
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
      const error = event.details.error;
      console.log(
        `✖ ${event.file ? relative(root, event.file) : ""}: ${event.name}\n    ${String(error.cause instanceof Error ? error.cause.stack : (error.cause ?? error.message)).replaceAll("\n", "\n    ")}`,
      );
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
console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exit(totals.failed > 0 ? 1 : 0);
