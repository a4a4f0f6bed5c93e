import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { buildPlugin } from "../plugin/build.ts";
import { addonReady } from "./addon.ts";
import { createEngine } from "./index.ts";
import { type Component, type Engine, EngineError, type HostCall, HostFailure, type Instance } from "./port.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-engine-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
const fixture = buildPlugin(join(import.meta.dirname, "fixture"), join(scratch, "components"));

const RUNTIME = "capstan:plugin/runtime-hooks@1.0.0";
const MiB = 1024 * 1024;
const amounts = { cpuMilli: 100, memory: 2 ** 40, ephemeralStorage: 0, others: [["example.com/gpu", 2]] };
const OWN = { config: '{"a":1}', facts: "{}" };
const podClass = { requests: amounts, nonzeroCpuMilli: 100, nonzeroMemory: 1, object: "{}" };

const said: string[] = [];
const host: HostCall = async (interfaceName, functionName, args) => {
  switch (`${interfaceName} ${functionName}`) {
    case "capstan:plugin/api get": {
      const { name } = args[0] as { name: string };
      if (name === "refused") {
        throw new HostFailure({ reason: "Denied", code: 403, message: "not granted", details: "" });
      }
      if (name === "broken") throw new Error("the host is broken");
      if (name === "never") return new Promise(() => undefined);
      return JSON.stringify(args[0]);
    }
    case "capstan:plugin/grpc unary":
      return (args[2] as Uint8Array).map((byte) => byte + 1);
    case "capstan:plugin/clock now":
      return 1_700_000_000_123.5;
    case "capstan:plugin/log write":
      return void said.push(args.join(" "));
    default:
      throw new Error(`unexpected ${interfaceName} ${functionName}`);
  }
};

const kindOf = (kind: EngineError["kind"], message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof EngineError, String(error));
  assert.equal(error.kind, kind, error.message);
  if (message) assert.match(error.message, message);
  return true;
};

for (const name of ["jco", "wasmtime"] as const) {
  const skip = name === "wasmtime" && !addonReady() ? "the wasmtime addon is not built (cargo)" : false;
  describe(`engine ${name}`, { skip }, () => {
    let engine: Engine;
    let component: Component;
    const cacheDir = join(scratch, `cache-${name}`);
    before(async () => {
      engine = createEngine(name, { cacheDir, importPrefixes: ["capstan:plugin/"] });
      const built = await fixture;
      component = await engine.load(readFileSync(built.path), built.digest);
    });

    async function withInstance(
      body: (instance: Instance, act: (request: object) => Promise<unknown>) => Promise<void>,
    ) {
      const instance = await component.instantiate({ memoryBytesMax: 64 * MiB, deadlineMs: 10_000, host });
      const act = async (request: object) =>
        JSON.parse(String(await instance.call(RUNTIME, "runPodSandbox", [JSON.stringify(request)], 10_000)));
      try {
        await body(instance, act);
      } finally {
        await instance.discard();
      }
    }

    test("JSON goes in and comes out as it was", () =>
      withInstance(async (_instance, act) => {
        const request = { do: "echo", text: "grüße 🚢", list: [1, 2.5, -3], none: null, deep: { a: { b: [true] } } };
        assert.deepEqual(await act(request), request);
      }));

    test("an instance keeps its state between calls, and shares none", () =>
      withInstance(async (_instance, act) => {
        assert.deepEqual([await act({ do: "count" }), await act({ do: "count" })], [{ calls: 1 }, { calls: 2 }]);
        await withInstance(async (_other, actThere) => assert.deepEqual(await actThere({ do: "count" }), { calls: 1 }));
      }));

    test("records, lists of numbers and typed arrays cross", () =>
      withInstance(async (instance) => {
        const node = { id: 0, name: "a", allocatable: amounts, podsMax: 110, object: "{}" };
        const lists = { nodes: [node], usage: [], removed: [], groups: [], placements: [], forgotten: [] };
        const delta = { whole: true, ...lists };
        await instance.call("capstan:plugin/node-hooks@1.0.0", "sync", [delta], 1000);
        const answers = [];
        for (const nodes of [[0, 1], new Uint32Array([0, 1])]) {
          const args = [[podClass], nodes];
          answers.push(await instance.call("capstan:plugin/filter-hooks@1.0.0", "evaluate", args, 1000));
        }
        const outcomes = [{ reasons: ["unknown node"], unresolvable: true }];
        const verdicts = [{ codes: new Uint16Array([0, 1]), outcomes }];
        assert.deepEqual(answers, [verdicts, verdicts]);
      }));

    test("a host call is answered, with bytes as bytes", () =>
      withInstance(async (_instance, act) => {
        assert.equal(((await act({ do: "get", name: "web" })) as { name: string }).name, "web");
        assert.deepEqual(await act({ do: "bytes", bytes: [1, 2, 254] }), { answer: [2, 3, 255] });
      }));

    test("a host call's refusal reaches the guest as a failure", () =>
      withInstance(async (_instance, act) => {
        assert.deepEqual(await act({ do: "refused" }), { reason: "Denied", code: 403, message: "not granted" });
      }));

    test("time and console are those of the contract", () =>
      withInstance(async (_instance, act) => {
        assert.deepEqual(await act({ do: "time" }), {
          now: 1_700_000_000_123,
          iso: "2023-11-14T22:13:20.123Z",
          year: 1970,
        });
        await act({ do: "log" });
        assert.equal(said.at(-1), 'warn careful {"a":1}');
      }));

    test("a failure is the export's error value, and the instance goes on", () =>
      withInstance(async (_instance, act) => {
        await assert.rejects(act({ do: "fail" }), (error) => {
          assert.ok(kindOf("failure")(error));
          const expected = { reason: "NotFound", code: 5, message: "there is none", details: '{"a":1}' };
          assert.deepEqual((error as EngineError).payload, expected);
          return true;
        });
        await assert.rejects(act({ do: "throws" }), kindOf("failure"));
        assert.match(said.at(-1) ?? "", /^error a mistake/);
        assert.deepEqual(await act({ do: "count" }), { calls: 1 });
      }));

    test("an export that does not exist is invalid, and the instance goes on", () =>
      withInstance(async (instance, act) => {
        await assert.rejects(instance.call(RUNTIME, "sing", [""], 1000), kindOf("invalid", /no .* sing/));
        assert.deepEqual(await act({ do: "count" }), { calls: 1 });
      }));

    test("a trap ends the instance", () =>
      withInstance(async (instance, act) => {
        const args = [[{ ...podClass, object: "trap" }], [0]];
        const call = instance.call("capstan:plugin/filter-hooks@1.0.0", "evaluate", args, 1000);
        await assert.rejects(call, kindOf("trap", /^wasm trap: wasm `unreachable`/));
        await assert.rejects(act({ do: "count" }), kindOf("trap", /ended/));
      }));

    test("an error inside the host traps the call", () =>
      withInstance(async (_instance, act) => {
        await assert.rejects(act({ do: "get", name: "broken" }), (error) => error instanceof EngineError);
      }));

    test("an endless loop is stopped at the deadline", () =>
      withInstance(async (instance, act) => {
        const call = instance.call(RUNTIME, "status", ['{"do":"loop"}'], 50);
        await assert.rejects(call, kindOf("deadline"));
        await assert.rejects(act({ do: "count" }), kindOf("trap"));
      }));

    test("a host call that never answers is stopped at the deadline", () =>
      withInstance(async (instance) => {
        const call = instance.call(RUNTIME, "status", ['{"do":"get","name":"never"}'], 50);
        await assert.rejects(call, kindOf("deadline"));
      }));

    test("a guest that eats memory is stopped at its cap", () =>
      withInstance(async (instance) => {
        const call = instance.call(RUNTIME, "status", ['{"do":"bomb"}'], 60_000);
        await assert.rejects(call, kindOf("memory", /cap/));
      }));

    test("a pure instance answers as any, and is stopped as any", async () => {
      const make = () =>
        component.instantiate({ memoryBytesMax: 64 * MiB, deadlineMs: 10_000, host, own: OWN, pure: true });
      const status = (instance: Instance, request: object, deadlineMs = 10_000) =>
        instance.call(RUNTIME, "status", [JSON.stringify(request)], deadlineMs);
      const instance = await make();
      assert.equal(instance.pure, name === "wasmtime");
      assert.equal(await status(instance, { do: "echo", text: "grüße" }), '{"do":"echo","text":"grüße"}');
      await status(instance, { do: "log" });
      assert.equal(said.at(-1), 'warn careful {"a":1}');
      await assert.rejects(status(instance, { do: "fail" }), kindOf("failure"));
      await assert.rejects(instance.call(RUNTIME, "sing", [""], 1000), kindOf("invalid", /no .* sing/));
      assert.ok(instance.cost.micros > 0 && instance.cost.memoryBytes > 1 * MiB);
      await assert.rejects(status(instance, { do: "loop" }, 50), kindOf("deadline"));
      await assert.rejects(status(instance, { do: "count" }), kindOf("trap", /ended/));
      const [other, third, fourth] = [await make(), await make(), await make()];
      // A quarter of an hour is left: it is what the guest computes that counts.
      if (fourth.pure)
        await assert.rejects(fourth.call(RUNTIME, "status", ['{"do":"loop"}'], 900_000, 20), kindOf("deadline"));
      await assert.rejects(status(other, { do: "bomb" }, 60_000), kindOf("memory", /cap/));
      if (third.pure)
        await assert.rejects(status(third, { do: "get", name: "x" }), kindOf("trap", /api get is not granted/));
      await Promise.all([instance, other, third, fourth].map((each) => each.discard()));
    });

    test("what every component may have is answered where it runs, and its lines are told when the call is over", async () => {
      const told: string[] = [];
      const onlyLines: HostCall = (interfaceName, functionName, args) => {
        assert.equal(`${interfaceName} ${functionName}`, "capstan:plugin/log write");
        told.push(args.join(" "));
      };
      for (const pure of [false, true]) {
        const how = { memoryBytesMax: 64 * MiB, deadlineMs: 10_000, host: onlyLines, own: OWN, pure };
        const instance = await component.instantiate(how);
        const act = async (request: object) =>
          JSON.parse(String(await instance.call(RUNTIME, "status", [JSON.stringify(request)], 10_000)));
        const { now } = await act({ do: "time" });
        assert.ok(Math.abs(now - Date.now()) < 60_000, `${now}`);
        await act({ do: "lines", count: 150 });
        assert.deepEqual(told.splice(0).slice(98), [
          "info line 98",
          "info line 99",
          "warn 50 lines were left out: too much for one call",
        ]);
        await assert.rejects(instance.call(RUNTIME, "status", ['{"do":"throws"}'], 10_000), kindOf("failure"));
        assert.match(told.splice(0).join(), /^error a mistake/, "once, and none of the lines before");
        await instance.discard();
      }
    });

    test("who answers, or gives a host call, more than may cross is stopped", async () => {
      for (const [pure, behaviour] of [
        [false, "large"],
        [true, "large"],
        [false, "large failure"],
        [false, "large call"],
      ] as const) {
        const how = { memoryBytesMax: 64 * MiB, deadlineMs: 10_000, host, own: OWN, crossingBytesMax: 1000, pure };
        const instance = await component.instantiate(how);
        const act = (size: number) =>
          instance.call(RUNTIME, "status", [JSON.stringify({ do: behaviour, size })], 10_000);
        await act(700).catch(kindOf("failure"));
        await assert.rejects(
          act(1000),
          kindOf("size", /(its answer|what .*api.* get is given) has 1\d\d\d bytes, and may/),
        );
        await assert.rejects(act(1), kindOf("trap", /ended/));
        await instance.discard();
      }
    });

    test("a call's cost is counted", () =>
      withInstance(async (instance, act) => {
        await act({ do: "count" });
        assert.ok(instance.cost.micros > 0);
        assert.ok(instance.cost.memoryBytes > 1 * MiB && instance.cost.memoryBytes < 64 * MiB);
      }));

    test("compiled code is kept, and used by the next engine", async () => {
      const { path, digest } = await fixture;
      const codeOf = () => readdirSync(cacheDir).filter((file) => file.startsWith(digest.replace(":", "-")));
      const kept = codeOf();
      assert.equal(kept.length, 1);
      const again = createEngine(name, { cacheDir, importPrefixes: ["capstan:plugin/"] });
      await again.load(readFileSync(path), digest);
      assert.deepEqual(codeOf(), kept);
    });

    test("work is counted where it is asked for: the same each time, and bounded", async () => {
      const { path, digest } = await fixture;
      const load = () => engine.load(readFileSync(path), digest, { fuel: true });
      if (name === "jco") return await assert.rejects(load(), /V8 counts nothing/);
      const counted = await load();
      const burn = async (fuelMax: number, pure: boolean) => {
        const how = { memoryBytesMax: 64 * MiB, deadlineMs: 10_000, host, fuelMax, own: OWN, pure };
        const instance = await counted.instantiate(how);
        await instance.call(RUNTIME, "runPodSandbox", [JSON.stringify({ do: "count" })], 10_000);
        const { fuel = 0 } = instance.cost;
        const loop = [JSON.stringify({ do: "loop" })];
        await assert.rejects(instance.call(RUNTIME, "runPodSandbox", loop, 10_000), kindOf("fuel"));
        await instance.discard();
        return fuel;
      };
      const [one, two] = [await burn(5_000_000, false), await burn(9_000_000, true)];
      assert.ok(one > 0);
      assert.equal(two, one);
    });
  });
}
