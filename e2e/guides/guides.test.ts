/** The commands of sdk/guides, as they stand there, in order, against a platform without nodes. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { findProgram, run } from "#platform/main/run.ts";
import { contractReference } from "#sdk/cli/reference.ts";
import { readContract } from "#sdk/plugin/wit.ts";
import { type Instance, skipWithoutKubectl, startInstance } from "../support/instance.ts";

const root = resolve(import.meta.dirname, "../..");
const guides = join(root, "sdk/guides");
const COMMAND_MS_MAX = 300_000;
const pages = readdirSync(guides).filter((name) => name.endsWith(".md"));

/** One command a line, of the blocks that are marked `sh`. */
const commandsOf = (page: string): string[] =>
  [...readFileSync(join(guides, page), "utf8").matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block = ""]) =>
    block.split("\n").filter(Boolean),
  );

test("every world has a guide, and every hook of it is in the reference", () => {
  const reference = contractReference("v1");
  for (const [name, world] of readContract("v1").worlds) {
    assert.ok(pages.includes(`${name}.md`), name);
    for (const hooks of world.exports) assert.match(reference, new RegExp(`^### ${hooks}$`, "m"));
  }
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === "object" && address ? address.port : 0;
}

describe("guides", { skip: skipWithoutKubectl, concurrency: 2 }, () => {
  const scratch = mkdtempSync(join(tmpdir(), "capstan-guides-"));
  let capstan: Instance;
  let registry: ChildProcess | undefined;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    capstan = await startInstance({ nodes: 0 });
    // What npx finds in a clone, from wherever it is called.
    const bin = join(scratch, "bin");
    mkdirSync(bin);
    writeFileSync(
      join(bin, "npx"),
      `#!/bin/sh\nshift\nexec "${process.execPath}" "${join(root, "platform/main/cli.ts")}" "$@"\n`,
    );
    chmodSync(join(bin, "npx"), 0o755);
    const port = await freePort();
    env = {
      ...process.env,
      PATH: `${bin}:${process.env["PATH"]}`,
      KUBECONFIG: capstan.kubeconfig,
      CAPSTAN_DATA_DIR: capstan.dataDir,
      REGISTRY: `127.0.0.1:${port}`,
    };
    if (!findProgram("docker-registry")) return;
    const storage = { filesystem: { rootdirectory: join(scratch, "registry") } };
    writeFileSync(
      join(scratch, "registry.yml"),
      JSON.stringify({ version: "0.1", storage, http: { addr: `127.0.0.1:${port}` } }),
    );
    registry = spawn("docker-registry", ["serve", join(scratch, "registry.yml")], { stdio: "ignore" });
  });

  after(async () => {
    registry?.kill();
    await capstan?.remove();
    rmSync(scratch, { recursive: true, force: true });
  });

  for (const page of pages) {
    const commands = commandsOf(page);
    const needsRegistry = commands.some((command) => command.includes("$REGISTRY"));
    const skip =
      commands.length === 0
        ? "it has no commands"
        : needsRegistry &&
          !findProgram("docker-registry") &&
          "there is no docker-registry (Debian: apt-get install docker-registry)";
    test(`${page} does what it says`, { skip }, async () => {
      const cwd = join(scratch, basename(page, ".md"));
      mkdirSync(cwd);
      for (const command of commands) {
        const { code, stdout, stderr } = await run("bash", ["-c", command], {
          cwd,
          env,
          timeoutMs: COMMAND_MS_MAX,
        });
        assert.equal(code, 0, `${command}\n${stdout}${stderr}`);
      }
    });
  }
});
