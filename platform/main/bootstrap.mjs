// Plain JavaScript for the Node that happens to be installed: makes node_modules (with the pinned Node in it) current.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

export const projectDir = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const node = `${projectDir}/node_modules/node/bin/node`;

/** npm writes node_modules/.package-lock.json at the end of an install: older than the lockfile means out of date. */
function current() {
  const installed = `${projectDir}/node_modules/.package-lock.json`;
  return (
    existsSync(node) &&
    existsSync(installed) &&
    statSync(installed).mtimeMs >= statSync(`${projectDir}/package-lock.json`).mtimeMs
  );
}

/**
 * Not `npm ci`: it insists on entries for the optional packages of other platforms, which not every registry has.
 * With --no-save the lockfile's versions are taken and neither file is written.
 * @param {string | undefined} path where npm finds its Node
 */
function install(path) {
  const result = spawnSync("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: projectDir,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, PATH: path },
  });
  if (result.status === 0 && existsSync(node)) return;
  console.error("npm did not finish: the lines above say why. When the network is back, run the same command again.");
  process.exit(1);
}

/** @returns {number} */
function pinnedMajor() {
  const { version } = JSON.parse(readFileSync(`${projectDir}/node_modules/node/package.json`, "utf8"));
  return Number(version.split(".")[0]);
}

/** @returns {Promise<string>} the pinned Node's path */
export async function ensureToolchain() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < 20) {
    console.error(
      `Capstan's first command needs Node 20 or newer; this is ${process.version}. Install a newer one and run it again.`,
    );
    process.exit(1);
  }
  if (current()) return node;
  const started = Date.now();
  console.log("• npm packages and the pinned Node: installing (about a minute the first time) …");
  install(process.env.PATH);
  // npm leaves out, without a word, optional packages that the Node it runs on is too old for: once more on the pinned one.
  if (major < pinnedMajor()) install(`${dirname(node)}:${process.env.PATH}`);
  console.log(`✓ npm packages and the pinned Node  ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return node;
}
