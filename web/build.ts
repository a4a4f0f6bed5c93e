/**
 * Builds the console's client into web/console/dist. A build is skipped while no source has changed since the last one,
 * so `up` can call this every time.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import react from "@vitejs/plugin-react";
import { build } from "vite";

const root = join(import.meta.dirname, "console");
/** What createConsole serves as `staticDir`. */
export const consoleDist = join(root, "dist");
const digestFile = join(consoleDist, ".sources");

function* filesIn(dir: string): Generator<string> {
  for (const entry of readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* filesIn(path);
    else yield path;
  }
}

function digestOfSources(): string {
  const hash = createHash("sha256");
  const lock = join(import.meta.dirname, "..", "package-lock.json");
  const sources = [join(root, "index.html"), ...filesIn(join(root, "src")), ...filesIn(join(root, "public"))];
  for (const path of [lock, import.meta.filename, ...sources])
    hash.update(relative(root, path)).update("\0").update(readFileSync(path));
  return hash.digest("hex");
}

/** Whether it had to build. Throws what the bundler reports. */
export async function buildConsole(options: { force?: boolean } = {}): Promise<boolean> {
  const digest = digestOfSources();
  const fresh = existsSync(digestFile) && readFileSync(digestFile, "utf8") === digest;
  if (fresh && !options.force) return false;
  await build({
    root,
    configFile: false,
    logLevel: "warn",
    plugins: [react()],
    build: {
      outDir: consoleDist,
      emptyOutDir: true,
      target: "es2024",
      assetsInlineLimit: 0,
      reportCompressedSize: false,
    },
  });
  writeFileSync(digestFile, digest);
  return true;
}

if (import.meta.main) process.stdout.write(`${(await buildConsole()) ? "built" : "up to date"}: ${consoleDist}\n`);
