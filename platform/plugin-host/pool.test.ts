import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#platform/base/clock.ts";
import { silentLog } from "#platform/base/log.ts";
import { type Component, EngineError, type HostCall, type Instance } from "#sdk/engine/port.ts";
import { pluginSpecSchema } from "#sdk/plugin/manifest.ts";
import { InstanceBudget } from "./budget.ts";
import { PluginCallError } from "./errors.ts";
import { PluginMetrics } from "./metrics.ts";
import { Pool } from "./pool.ts";
import { DEFAULT_QUOTA, TenantUse } from "./quota.ts";

type Behaviour = (
  functionName: string,
  args: unknown[],
  instance: number,
  host: HostCall,
) => Promise<unknown> | unknown;

/** A component whose instances do as the test says; `made` and `discarded` count them. */
function fakeComponent(behave: Behaviour, micros: number) {
  const counts = { made: 0, discarded: 0 };
  const component: Component = {
    digest: "sha256:0",
    exports: new Set(),
    async instantiate({ host }) {
      const number = ++counts.made;
      const instance: Instance = {
        pure: false,
        cost: { micros, memoryBytes: 1000 },
        call: async (_interface, functionName, args) => behave(functionName, args, number, host),
        async discard() {
          counts.discarded++;
        },
      };
      return instance;
    },
  };
  return { component, counts };
}

function makePool(
  behave: Behaviour,
  limits: { instances?: number; queue?: number; deadlineMs?: number } = {},
  { use = new TenantUse("root", () => DEFAULT_QUOTA), micros = 1 } = {},
) {
  const { component, counts } = fakeComponent(behave, micros);
  const metrics = new PluginMetrics();
  const pool = new Pool({
    plugin: "p",
    spec: pluginSpecSchema.parse({
      version: "1.0.0",
      witVersion: "v1",
      worlds: ["runtime"],
      digest: `sha256:${"0".repeat(64)}`,
      limits: { deadlineMs: 2000, ...limits },
    }),
    fetch: async () => undefined,
    load: async () => component,
    host: () => () => undefined,
    own: { config: "{}", facts: "{}" },
    pure: false,
    prepare: async () => undefined,
    budget: new InstanceBudget(),
    use,
    metrics,
    log: silentLog,
    clock: systemClock,
    changed: () => undefined,
  });
  pool.start();
  const call = (functionName: string, args: unknown[] = [], tenant = "root", deadlineMs = Number.POSITIVE_INFINITY) =>
    pool.call({ interfaceName: "i", functionName, args, tenant, deadlineMs });
  return { pool, call, counts, metrics };
}

const rejectsWith = (kind: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof PluginCallError);
  assert.equal(error.kind, kind);
  if (message) assert.match(error.message, message);
  return true;
};

function gate() {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}

test("P4: calls beyond the instances wait, and none is refused before its deadline", async () => {
  const { open, passed } = gate();
  const { pool, call, counts } = makePool(() => passed.then(() => "done"), { instances: 2 });
  await pool.settled();
  const calls = Array.from({ length: 10 }, () => call("f"));
  open();
  assert.deepEqual(await Promise.all(calls), Array(10).fill("done"));
  assert.equal(counts.made, 2);
});

test("P4: a call whose turn does not come by its deadline says why", async () => {
  const { open, passed } = gate();
  const { pool, call } = makePool(() => passed);
  await pool.settled();
  const first = call("f");
  await assert.rejects(call("f", [], "root", 20), rejectsWith("unavailable", /busy until the deadline/));
  open();
  await first;
});

test("a full queue refuses at once", async () => {
  const { open, passed } = gate();
  const { pool, call } = makePool(() => passed, { queue: 1 });
  await pool.settled();
  const calls = [call("f"), call("f")];
  await assert.rejects(call("f"), rejectsWith("unavailable", /queue is full/));
  open();
  await Promise.all(calls);
});

test("P2: an instance serves one tenant until it is made anew", async () => {
  const seen: [string, number][] = [];
  const { pool, call, counts } = makePool((_name, args, instance) => void seen.push([String(args[0]), instance]));
  await pool.settled();
  await call("f", ["a"], "a");
  await call("f", ["a"], "a");
  await call("f", ["b"], "b");
  assert.deepEqual(seen, [
    ["a", 1],
    ["a", 1],
    ["b", 2],
  ]);
  assert.equal(counts.discarded, 1);
});

/** Half a second of CPU; nothing comes back. */
const meagre = () =>
  new TenantUse(
    "acme",
    () => ({ ...DEFAULT_QUOTA, cpuMilliseconds: 250 }),
    () => 0,
  );

test("calls that come together do not all find the CPU time that one of them takes", async () => {
  const { open, passed } = gate();
  const { pool, call } = makePool(() => passed, { instances: 3 }, { use: meagre(), micros: 300_000 });
  await pool.settled();
  open();
  await call("f");
  const [second, third] = [call("f"), call("f", [], "root", 20)];
  await assert.rejects(third, rejectsWith("unavailable", /the CPU quota of tenant acme is used up/));
  await second;
  await assert.rejects(call("f", [], "root", 20), rejectsWith("unavailable", /used up/));
});

test("host calls take their time from the tenant's", async () => {
  const use = meagre();
  const { pool, call } = makePool(
    async (_name, _args, _number, host) => {
      for (let i = 0; i < 1001; i++) await host("capstan:plugin/api", "get", []);
    },
    {},
    { use, micros: 0 },
  );
  await pool.settled();
  await call("f");
  await assert.rejects(call("f", [], "root", 1), rejectsWith("unavailable", /used up/));
});

test("lines take nothing of it", async () => {
  const use = meagre();
  const lines = async (_name: string, _args: unknown[], _number: number, host: HostCall) => {
    for (let i = 0; i < 2000; i++) await host("capstan:plugin/log", "write", ["info", "line"]);
  };
  const { pool, call } = makePool(lines, {}, { use, micros: 0 });
  await pool.settled();
  await call("f");
  await call("f", [], "root", 1000);
  assert.equal(use.cpuWaitMs(), 0);
});

test("P3: a stopped instance is discarded and another comes after a back-off; calls wait for it", async () => {
  let stops = 1;
  const { pool, call, counts, metrics } = makePool(() => {
    if (stops-- > 0) throw new EngineError("memory", "the memory cap is reached");
    return "fine";
  });
  await pool.settled();
  await assert.rejects(call("f"), rejectsWith("memory", /plugin p, hook f: .*cap/));
  assert.equal(pool.state, "backing-off");
  assert.match(pool.reason, /stopped in f \(memory\)/);
  assert.equal(await call("f"), "fine");
  assert.equal(counts.made, 2);
  assert.deepEqual({ ...metrics.errorsByKind }, { memory: 1 });
  assert.equal(metrics.restarts, 1);
});

test("P3: who would be over its deadline before the next instance comes is refused at once, with the reason", async () => {
  const { pool, call } = makePool(() => {
    throw new EngineError("trap", "unreachable");
  });
  await pool.settled();
  await assert.rejects(call("f"), rejectsWith("trap"));
  await assert.rejects(call("f", [], "root", 1), rejectsWith("unavailable", /stopped in f \(trap\): unreachable/));
});

test("what a hook says itself is bounded", async () => {
  const payload = { reason: "r".repeat(1000), code: 403, message: "m".repeat(1e6), details: "d".repeat(1e6) };
  const { call } = makePool(() => {
    throw new EngineError("failure", "f failed", payload);
  });
  await assert.rejects(call("f"), (error) => {
    assert.ok(error instanceof PluginCallError);
    assert.deepEqual([error.message.length, error.reason.length, error.details], [8192, 64, ""]);
    return true;
  });
});

test("a hook's own failure leaves the instance as it is", async () => {
  const payload = { reason: "NotFound", code: 5, message: "no such sandbox", details: "" };
  const { pool, call, counts } = makePool(() => {
    throw new EngineError("failure", "f failed", payload);
  });
  await pool.settled();
  await assert.rejects(call("f"), (error) => {
    rejectsWith("failure", /^no such sandbox$/)(error);
    assert.equal((error as PluginCallError).code, 5);
    return true;
  });
  assert.equal(counts.discarded, 0);
  assert.equal(pool.state, "serving");
});

test("P7: draining lets the call under way end and refuses what waits", async () => {
  const { open, passed } = gate();
  const { pool, call, counts } = makePool(() => passed.then(() => "done"));
  await pool.settled();
  const [first, second] = [call("f"), call("f")];
  const refused = assert.rejects(second, rejectsWith("unavailable"));
  await pool.drain();
  await refused;
  await assert.rejects(call("f"), rejectsWith("unavailable", /draining/));
  open();
  assert.equal(await first, "done");
  assert.equal(counts.discarded, 1);
});

test("a hook's deadline is the manifest's, and a caller may ask for less", async () => {
  const { pool } = makePool(() => undefined);
  assert.equal(pool.deadlineMs("f", Number.POSITIVE_INFINITY), 2000);
  assert.equal(pool.deadlineMs("f", 100), 100);
  await pool.settled();
  await pool.drain();
});

test("a pure call that takes too long is made again off the caller's thread, and so are all that come", async () => {
  const component: Component = {
    digest: "sha256:0",
    exports: new Set(),
    async instantiate(o) {
      const instance: Instance = {
        pure: o.pure === true,
        cost: { micros: 1, memoryBytes: 1000 },
        async call() {
          if (instance.pure) throw new EngineError("deadline", "the deadline is over");
          return "slowly";
        },
        discard: async () => undefined,
      };
      return instance;
    },
  };
  const metrics = new PluginMetrics();
  const pool = new Pool({
    plugin: "p",
    spec: pluginSpecSchema.parse({
      version: "1.0.0",
      witVersion: "v1",
      worlds: ["filter"],
      digest: `sha256:${"0".repeat(64)}`,
    }),
    fetch: async () => undefined,
    load: async () => component,
    host: () => () => undefined,
    prepare: async () => undefined,
    own: { config: "{}", facts: "{}" },
    pure: true,
    budget: new InstanceBudget(),
    use: new TenantUse("root", () => DEFAULT_QUOTA),
    metrics,
    log: silentLog,
    clock: systemClock,
    changed: () => undefined,
  });
  pool.start();
  await pool.settled();
  const call = () => pool.call({ interfaceName: "i", functionName: "f", args: [], tenant: "root", deadlineMs: 60_000 });
  assert.deepEqual([await call(), await call()], ["slowly", "slowly"]);
  assert.equal(metrics.errors, 0);
  await pool.drain();
});
