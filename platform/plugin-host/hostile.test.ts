/** A component that does its worst, on both engines: it is stopped and named, and its neighbour's calls are answered meanwhile. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parse } from "@bytecodealliance/jco";
import { silentLog } from "#platform/base/log.ts";
import { StatusError } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import { capabilitiesDigest } from "#sdk/plugin/approval.ts";
import { type BuiltPlugin, buildPlugin } from "#sdk/plugin/build.ts";
import type { Plugin } from "#sdk/plugin/manifest.ts";
import { PluginCallError } from "./errors.ts";
import { createPluginHost, type PluginHost } from "./host.ts";
import { PluginLogs } from "./logs.ts";
import { createFakeSource } from "./testing/source.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-hostile-host-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
const components = join(scratch, "components");
let built: BuiltPlugin;
before(async () => {
  built = await buildPlugin(join(import.meta.dirname, "testing/hostile"), components);
});

const asked: string[] = [];
/** An API that never answers for the object named "slow", and has nothing else. */
const client = {
  get: async (resource: { resource: string }, { name, namespace }: { name: string; namespace?: string }) => {
    asked.push(`${namespace} ${resource.resource} ${name}`);
    if (name === "slow") return new Promise(() => undefined);
    throw new StatusError(404, "NotFound", `no ${name}`);
  },
} as unknown as Client;

function pluginOf(name: string, digest = built.digest): Plugin {
  const { name: _, ...manifest } = built.manifest;
  return {
    apiVersion: "capstan.dev/v1",
    kind: "Plugin",
    metadata: { name },
    spec: { ...manifest, digest, approved: [capabilitiesDigest(manifest.capabilities)] },
  };
}

/** Puts bytes where the host looks for components; answers their digest. */
function put(bytes: Uint8Array): string {
  const hex = createHash("sha256").update(bytes).digest("hex");
  writeFileSync(join(components, `sha256-${hex}.wasm`), bytes);
  return `sha256:${hex}`;
}

/** Numbers that look random and are the same each time (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Imports what no component may have, and calls it. */
const GREEDY = `(component
  (import "wasi:filesystem/preopens@0.2.0" (instance $fs (export "open" (func (result u32)))))
  (core func $open (canon lower (func $fs "open")))
  (core module $m
    (import "fs" "open" (func $open (result i32)))
    (func (export "run") (result i32) (call $open)))
  (core instance $i (instantiate $m (with "fs" (instance (export "open" (func $open))))))
  (func $run (result u32) (canon lift (core func $i "run")))
  (instance $hooks (export "status" (func $run)))
  (export "capstan:plugin/runtime-hooks@1.0.0" (instance $hooks)))`;

for (const engine of ["jco", "wasmtime"] as const) {
  const skip = engine === "wasmtime" && !addonReady() ? "the wasmtime addon is not built (cargo)" : false;
  describe(`a hostile component on ${engine}`, { skip }, () => {
    let host: PluginHost;
    const logs = join(scratch, `logs-${engine}`);
    const source = createFakeSource();
    const plugin = (name: string) => {
      const found = host.loaded("runtime").find((one) => one.name === name);
      assert.ok(found, `${name} is loaded`);
      return found;
    };
    const state = (name: string) => host.status(name)?.state;
    /** Once it has come back from what it did before. */
    const act = async (what: string, more: object = {}, hook = "version") => {
      while (state("hostile") === "backing-off") await new Promise((next) => setTimeout(next, 20));
      return await plugin("hostile").call("runtime-hooks", hook, [JSON.stringify({ do: what, ...more })]);
    };
    const neighbour = async () => {
      const answer = await plugin("neighbour").call("runtime-hooks", "version", ['{"do":"echo"}'], {
        deadlineMs: 60_000,
      });
      assert.equal(answer, '{"do":"echo"}');
    };
    /** Rejects with this kind, named, while the neighbour is served. */
    async function stopped(kind: RegExp, call: Promise<unknown>): Promise<void> {
      const refused = assert.rejects(call, (error: unknown) => {
        assert.ok(error instanceof PluginCallError, String(error));
        assert.match(error.kind, kind, error.message);
        assert.equal(error.plugin, "hostile");
        return true;
      });
      await neighbour();
      await refused;
      await neighbour();
    }

    before(async () => {
      for (const name of ["hostile", "neighbour"]) source.put(pluginOf(name));
      host = createPluginHost({
        role: "test",
        instance: "0",
        engine,
        componentsDir: components,
        worlds: ["runtime"],
        plugins: source,
        clientFor: () => client,
        logs: new PluginLogs(logs, "test", silentLog),
        log: silentLog,
      });
      host.start();
      await host.ready();
    });
    after(() => host?.close());

    test("recursion without end is stopped or fails, and the process lives", async () => {
      await assert.rejects(act("recursion"), PluginCallError);
      await neighbour();
    });

    test("a flood of lines ends at the deadline, and what is kept of it is bounded", async () => {
      await stopped(/deadline/, act("logs"));
      const folder = join(logs, "root", "hostile");
      while (!existsSync(folder)) await new Promise((next) => setTimeout(next, 20));
      const bytes = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
      assert.ok(bytes < 8 * 1024 * 1024, `${bytes} bytes`);
    });

    test("a flood of host calls ends at the deadline, one that is never answered before it", async () => {
      await stopped(/deadline/, act("calls"));
      // What is slow outside is not its fault: it is told in time to say so itself.
      await stopped(/failure/, act("slow"));
    });

    // Where growing is refused instead of stopped (jco), the guest may make an error of its own of that.
    test("an answer beyond the memory cap is never made", () => stopped(/memory|failure/, act("huge")));

    test("there is nothing of the machine's in reach", async () => {
      assert.deepEqual(JSON.parse(String(await act("ambient"))), { found: [] });
    });

    test("names that lead out of the API's paths reach the API as names", async () => {
      await act("elsewhere", { path: "../../../tenants/globex/api/v1/secrets" });
      assert.equal(asked.at(-1), "../../.. ../../../tenants/globex/api/v1/secrets x");
    });

    test("what it says of others is said under its own name", async () => {
      await act("liar");
      const log = () => readFileSync(join(logs, "root", "hostile", "test.log"), "utf8");
      while (!log().includes("forged")) await new Promise((next) => setTimeout(next, 20));
      assert.deepEqual(readdirSync(join(logs, "root")), ["hostile"]);
      for (const line of log()
        .split("\n")
        .filter((text) => text.includes("forged")))
        assert.doesNotMatch(line, /^2026-01-01T00:00:00Z stderr/, "each line has the host's own time before it");
    });

    test("a storm of traps leads to quarantine, and its neighbour never notices", async () => {
      while (state("hostile") !== "quarantined") {
        await act("trap", {}, "status").catch(() => undefined);
        await neighbour();
      }
      assert.match(host.status("hostile")?.reason ?? "", /quarantined after 8 stops in a row/);
      await assert.rejects(act("echo"), /plugin hostile, hook version: quarantined after/);
    });

    test("an import that was never granted is a trap when it is used", async () => {
      const digest = put(await parse(GREEDY));
      source.put(pluginOf("greedy", digest));
      await host.ready();
      const call = plugin("greedy").call("runtime-hooks", "status", []);
      await assert.rejects(call, (error) => error instanceof PluginCallError && error.kind === "trap");
      await neighbour();
    });

    test("bytes that are no component, or are damaged, start nothing and end nothing", async () => {
      const whole = await parse(GREEDY);
      const next = random(engine === "jco" ? 1 : 2);
      const count = engine === "jco" ? 12 : 200;
      for (let i = 0; i < count; i++) {
        const bytes = whole.slice(0, i % 4 === 0 ? Math.floor(next() * whole.length) : whole.length);
        for (let flips = 1 + Math.floor(next() * 4); flips > 0 && bytes.length > 0; flips--)
          bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
        source.put(pluginOf("damaged", put(bytes)));
        await host.ready();
        assert.ok(["serving", "backing-off"].includes(host.status("damaged")?.state ?? ""));
        source.remove("damaged");
      }
      await neighbour();
    });
  });
}
