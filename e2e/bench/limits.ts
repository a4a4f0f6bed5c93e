/** What this machine can do at all: an HTTPS server that does nothing, and PostgreSQL's commits. The distance to them is what is left to gain. */
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, withTestDatabase } from "#db/testing.ts";
import { findProgram } from "#platform/main/run.ts";
import { must } from "../conformance/program.ts";
import type { PhaseResult } from "./scenarios.ts";

const run = promisify(execFile);

/** One insert and its flush, as a batch of one write. */
const COMMIT = "INSERT INTO bench_commit (document) VALUES (repeat('x', 600));\n";

/** Requests a second that Node's HTTPS server answers with the text of a created object. */
async function answered(load: string, keys: { cert: string; key: string }, clients: number, seconds: number) {
  const port = await freePort();
  const pems = { cert: readFileSync(keys.cert), key: readFileSync(keys.key) };
  const text = JSON.stringify({
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: { name: "a" },
    data: { a: "x".repeat(400) },
  });
  const server = createSecureServer({ ...pems, allowHTTP1: true }, (request, response) => {
    request.resume();
    request.on("end", () => {
      response.writeHead(201, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
      response.end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  try {
    const args = ["--servers", `https://127.0.0.1:${port}`, "--clients", String(clients), "--seconds", String(seconds)];
    const out = await must(load, [...args, "--phases", "create"]);
    return (JSON.parse(out.split("\n").find((line) => line.startsWith("{")) ?? "{}") as PhaseResult).per_second;
  } finally {
    server.close();
  }
}

async function commits(seconds: number): Promise<number | undefined> {
  const pgbench = findProgram("pgbench");
  if (!pgbench) return undefined;
  const db = await withTestDatabase({ durable: true, migrated: false });
  const script = join(tmpdir(), `capstan-commit-${process.pid}.sql`);
  writeFileSync(script, COMMIT);
  const { hostname, port, username, password, pathname } = new URL(db.url);
  const env = { ...process.env, PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: password };
  const name = pathname.slice(1);
  try {
    writeFileSync(`${script}.table`, "CREATE TABLE IF NOT EXISTS bench_commit (document text);\n");
    await run(pgbench, ["-n", "-t", "1", "-f", `${script}.table`, name], { env });
    const { stdout } = await run(pgbench, ["-n", "-c", "1", "-T", String(seconds), "-f", script, name], { env });
    return Number(/tps = ([\d.]+)/.exec(stdout)?.[1]);
  } finally {
    await run("rm", ["-f", script, `${script}.table`]);
    await db.remove();
  }
}

/** Lines of a Markdown table. */
export async function limits(load: string, keys: { cert: string; key: string }, seconds: number): Promise<string[]> {
  const lines = ["| what this machine can do at all | per second |", "|---|---|"];
  for (const clients of [1, 50, 300])
    lines.push(
      `| requests that a bare HTTPS server of Node answers, ${clients} clients | ${(await answered(load, keys, clients, seconds)).toFixed(0)} |`,
    );
  const flushed = await commits(seconds);
  lines.push(`| commits of one row, one connection (pgbench) | ${flushed?.toFixed(0) ?? "pgbench is not there"} |`);
  return lines;
}
