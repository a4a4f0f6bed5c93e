/** Between this program and the database there may be something that takes LISTEN and delivers nothing (S6). */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { waitReady } from "#db/embedded.ts";
import { freePort, type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { systemClock } from "#platform/base/clock.ts";
import { createLog, silentLog } from "#platform/base/log.ts";
import { WatchCache } from "#platform/store/cache/cache.ts";
import { PostgresStore } from "#platform/store/postgres/store.ts";
import { collect, create, key, put } from "#platform/store/testing.ts";
import { findProgram } from "./run.ts";

const NOTIFICATION = 65; // "A"

/** Passes the server's messages on, without its notifications. */
function withoutNotifications(to: Socket): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5) {
      const end = 1 + rest.readUInt32BE(1);
      if (rest.length < end) return;
      if (rest[0] !== NOTIFICATION) to.write(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  };
}

async function deafProxy(db: TestDatabase, context: TestContext): Promise<string> {
  const { port } = new URL(db.url);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
    }
    client.pipe(upstream);
    upstream.on("data", withoutNotifications(client));
    upstream.on("close", () => client.destroy());
    client.on("close", () => upstream.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return db.url.replace(`:${port}/`, `:${address.port}/`);
}

/** A store behind `url`; its log's warnings, its metric of listening, and what its watcher was told. */
async function behind(url: string, context: TestContext) {
  const warnings: string[] = [];
  const log = createLog("warn", {}, (line) => warnings.push(line));
  const store = new PostgresStore({ databaseUrl: url, log, clock: systemClock, pollMs: 200 });
  const cache = new WatchCache({ backing: store, log: silentLog, clock: systemClock });
  context.after(async () => {
    await cache.close();
    await store.close();
  });
  await cache.loaded;
  const watch = collect(cache, { scope: { tenant: 1, resource: "configmaps" }, after: cache.revision() });
  context.after(() => watch.stop());
  const listening = () => {
    const metric = store.metrics().find(({ name }) => name === "capstan_store_listen_working");
    return metric && "samples" in metric ? metric.samples[0]?.value : undefined;
  };
  return { store, watch, warnings, listening };
}

it("notifications that never arrive are noticed and told, and changes come all the same", async (context) => {
  const db = await withTestDatabase();
  context.after(() => db.remove());
  const direct = new PostgresStore({ databaseUrl: db.url, log: silentLog, clock: systemClock });
  context.after(() => direct.close());
  const { watch, warnings, listening } = await behind(await deafProxy(db, context), context);
  for (let i = 0; i < 5; i++) await put(direct, create(key(`n-${i}`)));
  await watch.until((events) => events.length === 5);
  while (listening() === undefined) await sleep(50);
  assert.equal(listening(), 0);
  assert.match(warnings.join("\n"), /notifications do not arrive: is there a pooler in transaction mode/);
});

/** PgBouncer in transaction mode, one server connection for all, so that no connection keeps a session of its own. */
async function bouncer(program: string, db: TestDatabase, context: TestContext): Promise<string> {
  const { hostname, port, username, password, pathname } = new URL(db.url);
  const dir = mkdtempSync(join(tmpdir(), "capstan-pooler-"));
  const own = await freePort();
  const file = join(dir, "pgbouncer.ini");
  const lines = [
    "[databases]",
    `postgres = host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)} dbname=${pathname.slice(1)}`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${own}`,
    "unix_socket_dir =",
    "auth_type = any",
    "pool_mode = transaction",
    "default_pool_size = 5",
    "ignore_startup_parameters = extra_float_digits,options",
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  chmodSync(dir, 0o755);
  // It refuses to be root.
  const as = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  const child = spawn(program, [file], { stdio: "ignore", ...as });
  context.after(async () => {
    const exit = once(child, "exit");
    if (child.kill("SIGKILL")) await exit;
    rmSync(dir, { recursive: true, force: true });
  });
  const url = db.url.replace(`:${port}/`, `:${own}/`);
  await waitReady(url);
  return url;
}

const pgbouncer = findProgram("pgbouncer");

it("a pooler in transaction mode is named as the cause", {
  skip: pgbouncer ? false : "pgbouncer is not installed",
}, async (context) => {
  const db = await withTestDatabase();
  context.after(() => db.remove());
  const url = await bouncer(pgbouncer ?? "", db, context);
  const direct = new PostgresStore({ databaseUrl: db.url, log: silentLog, clock: systemClock });
  context.after(() => direct.close());
  const { watch, warnings, listening } = await behind(url, context);
  for (let i = 0; i < 5; i++) await put(direct, create(key(`n-${i}`)));
  await watch.until((events) => events.length === 5);
  while (listening() === undefined) await sleep(50);
  assert.equal(listening(), 0);
  assert.match(warnings.join("\n"), /is there a pooler in transaction mode/);
});
