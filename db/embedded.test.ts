import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import pg from "pg";
import { type PostgresCommand, plannedHostChanges, prepare, runningPid, stop, waitReady } from "./embedded.ts";
import { undoHostChanges } from "./host.ts";
import { freePort, withTestDatabase } from "./testing.ts";

const isRoot = process.getuid?.() === 0;

function start({ file, args, ...how }: PostgresCommand) {
  return spawn(file, args, { ...how, stdio: "ignore" });
}

describe("embedded PostgreSQL", () => {
  it("keeps what was committed over kill -9, and starts over a pid file that names a living stranger", async () => {
    const db = await withTestDatabase({ migrated: false });
    try {
      const client = new pg.Client({ connectionString: db.url });
      client.on("error", () => undefined);
      await client.connect();
      await client.query("CREATE TABLE kept (n int)");
      await client.query("INSERT INTO kept VALUES (7)");
      await db.kill();
      const file = join(db.dataDir, "cluster", "postmaster.pid");
      const [, ...rest] = readFileSync(file, "utf8").split("\n");
      writeFileSync(file, [String(process.pid), ...rest].join("\n"));
      await db.start();
      const again = new pg.Client({ connectionString: db.url });
      await again.connect();
      assert.equal((await again.query("SELECT n FROM kept")).rows[0].n, 7);
      await again.end();
    } finally {
      await db.remove();
    }
  });

  it("listens on 127.0.0.1 only, asks for the password, and keeps it in a file for its owner alone", async () => {
    const db = await withTestDatabase({ migrated: false });
    try {
      const wrong = new URL(db.url);
      wrong.password = "wrong";
      await assert.rejects(waitReady(wrong.href, 10_000), /password authentication failed/);
      assert.equal(statSync(join(db.dataDir, "..", "password")).mode & 0o777, 0o600);
      const client = new pg.Client({ connectionString: db.url });
      await client.connect();
      const { rows } = await client.query("SHOW unix_socket_directories");
      assert.equal(rows[0].unix_socket_directories, "");
      await client.end();
    } finally {
      await db.remove();
    }
  });

  it("runs for root below a directory that nobody else may enter, and takes its mounts back", {
    skip: !isRoot && "needs root",
  }, async () => {
    const base = mkdtempSync(join(tmpdir(), "capstan-closed-"));
    chmodSync(base, 0o700);
    const options = {
      dataDir: join(base, "deep", "data"),
      port: await freePort(),
      passwordFile: join(base, "password"),
      volatile: true,
    };
    const planned = plannedHostChanges(options);
    assert.ok(planned.some((change) => change.type === "mount"));
    assert.ok(!existsSync(options.dataDir), "a plan changes nothing");
    const { command, databaseUrl, hostChanges } = await prepare(options);
    assert.deepEqual(hostChanges, planned);
    assert.ok(command.uid !== undefined && command.uid !== 0);
    const child = start(command);
    try {
      await waitReady(databaseUrl);
      assert.equal(runningPid(options.dataDir), child.pid);
      assert.equal((await prepare(options)).runningPid, child.pid);
      const exit = once(child, "exit");
      await stop(options.dataDir);
      await exit;
      assert.deepEqual((await prepare(options)).hostChanges, [], "nothing is left to change the second time");
      rmSync(options.dataDir, { recursive: true });
      const [again] = (await prepare(options)).hostChanges;
      assert.equal(again?.type, "mount", "a data directory made anew is mounted anew");
    } finally {
      child.kill("SIGKILL");
      // The user may serve others on this machine.
      await undoHostChanges(hostChanges.filter((change) => change.type !== "user"));
      rmSync(base, { recursive: true, force: true });
    }
  });
});
