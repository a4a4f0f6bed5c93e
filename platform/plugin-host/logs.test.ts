import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import { PluginLogs } from "./logs.ts";
import { readPluginLog } from "./read-logs.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-plugin-logs-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

async function read(tenant: string, plugin: string, tailLines?: number): Promise<string> {
  let text = "";
  const { signal } = new AbortController();
  const request = { timestamps: false, follow: false, signal, ...(tailLines === undefined ? {} : { tailLines }) };
  for await (const chunk of readPluginLog(scratch, tenant, plugin, request)) text += chunk;
  return text;
}

test("each plugin of each tenant has words of its own, whichever role heard them", async () => {
  const [one, other] = [
    new PluginLogs(scratch, "apiserver", silentLog),
    new PluginLogs(scratch, "controllers", silentLog),
  ];
  one.write("acme", "p", "info", "first");
  one.flush();
  other.write("acme", "p", "error", "second\nthird");
  one.write("globex", "p", "info", "somebody else's");
  one.flush();
  other.flush();
  assert.equal(await read("acme", "p"), "first\nsecond\nthird\n");
  assert.equal(await read("acme", "p", 1), "third\n");
  assert.equal(await read("acme", "q"), "");
});

test("a flood is cut, counted and fills no disk", async () => {
  const logs = new PluginLogs(scratch, "flooded", silentLog);
  for (let round = 0; round < 30; round++) {
    for (let i = 0; i < 1000; i++) logs.write("acme", "loud", "info", "x".repeat(4096));
    logs.flush();
  }
  const folder = join(scratch, "acme", "loud");
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  assert.ok(bytes < 6 * 1024 * 1024, `${bytes} bytes`);
});

test("whoever follows gets what comes", async () => {
  const logs = new PluginLogs(scratch, "apiserver", silentLog);
  logs.write("acme", "followed", "info", "before");
  logs.flush();
  const stop = new AbortController();
  const seen: string[] = [];
  const request = { timestamps: false, follow: true, signal: stop.signal };
  for await (const chunk of readPluginLog(scratch, "acme", "followed", request)) {
    seen.push(chunk);
    if (seen.length === 2) stop.abort();
    else {
      logs.write("acme", "followed", "info", "after");
      logs.flush();
    }
  }
  assert.deepEqual(seen, ["before\n", "after\n"]);
});
