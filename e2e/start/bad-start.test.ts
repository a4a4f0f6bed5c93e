/** A start that cannot succeed says the cause and the next command to type, and leaves nothing running. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort } from "#db/testing.ts";
import { type Finished, run } from "#platform/main/run.ts";

const cli = resolve(import.meta.dirname, "../../platform/main/cli.ts");

describe("a bad start", () => {
  let dataDir = "";
  const up = (...args: string[]) =>
    run(process.execPath, [cli, "up", "--data-dir", dataDir, "--nodes", "0", ...args], { timeoutMs: 300_000 });

  before(() => {
    dataDir = mkdtempSync(join(tmpdir(), "capstan-bad-"));
  });
  after(async () => {
    await run(process.execPath, [cli, "uninstall", "--yes", "--data-dir", dataDir]);
    rmSync(dataDir, { recursive: true, force: true });
  });

  const taken = async (): Promise<{ server: Server; port: number }> => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "0.0.0.0", done));
    const address = server.address();
    return { server, port: typeof address === "object" && address ? address.port : 0 };
  };

  it("on a port that is taken names the port and the option for another", async () => {
    const { server, port } = await taken();
    try {
      const { code, stderr } = await up("--api-port", String(port));
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`port ${port} on .* is taken by another program`));
      assert.match(stderr, /next: npm run up -- --api-port \d+/);
    } finally {
      server.close();
    }
  });

  it("with a database that does not answer says so and names the way out", async () => {
    const { server, port } = await taken();
    const apiPort = await freePort();
    server.close();
    const { code, stderr } = await up(
      "--api-port",
      String(apiPort),
      "--database-url",
      `postgres://nobody@127.0.0.1:${port}/none`,
    );
    assert.equal(code, 1);
    assert.match(stderr, /PostgreSQL does not answer: .*/);
    assert.match(stderr, /next: check the URL/);
  });

  it("with an unknown option or command says which", async () => {
    assert.match((await up("--colour", "red")).stderr, /'--colour'/);
    assert.match((await up("--engine", "steam")).stderr, /--engine is wasmtime or jco, not "steam"/);
    assert.match((await run(process.execPath, [cli, "fly"])).stderr, /there is no command "fly"/);
  });
});

describe("a command", () => {
  let dataDir = "";
  const command = (...args: string[]) =>
    run(process.execPath, [cli, ...args, "--data-dir", dataDir], { timeoutMs: 60_000 });
  const isRefused = ({ code, stderr }: Finished, cause: RegExp, next: RegExp) => {
    assert.equal(code, 1);
    assert.match(stderr, cause);
    assert.match(stderr, next);
    assert.doesNotMatch(stderr, /\n {4}at /, "no stack");
  };

  before(() => {
    dataDir = mkdtempSync(join(tmpdir(), "capstan-none-"));
  });
  after(() => rmSync(dataDir, { recursive: true, force: true }));

  it("where there is no instance says so and how to make one", async () => {
    for (const args of [["tenant", "list"], ["image", "load", cli], ["up", "--role", "scheduler"], ["migrate"]])
      isRefused(await command(...args), /there is no instance in /, /next: npm run up -- --data-dir /);
    assert.match((await command("down")).stdout, /nothing is running/);
    assert.match((await command("uninstall", "--yes")).stdout, /nothing is installed/);
  });

  it("for a role that is none lists those there are", async () => {
    isRefused(
      await command("up", "--role", "kubelet"),
      /there is no role "kubelet"/,
      /next: one of: apiserver, controllers/,
    );
  });

  it("on an instance whose file is broken names the file", async () => {
    const file = join(dataDir, "config.json");
    writeFileSync(file, "{");
    const cause = new RegExp(`${file} cannot be read: `);
    isRefused(await command("up", "--nodes", "0"), cause, /next: mend it, or start anew without its data: rm -r /);
    isRefused(await command("tenant", "list"), cause, /next: mend it/);
  });
});
