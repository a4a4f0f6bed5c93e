/**
 * Components as they were built when a version of the contract was released; they are never built again. guest.wasm of v1 was made of the
 * source beside it with clang 14: `npx capstan plugin build sdk/engine/frozen/v1`.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { digestOf } from "../../distribution/digest.ts";
import { addonReady } from "../addon.ts";
import { createEngine } from "../index.ts";
import { CONTRACT_PREFIX, type Component, EngineError, type HostCall, HostFailure, type Instance } from "../port.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-frozen-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const MiB = 1024 * 1024;
const HOOKS = "capstan:plugin/admission-hooks@1.0.0";
const FROZEN_V1 = "sha256:1d1bd2ba9e5113ee72f16da8bd7f4b14f8153a3da7a957396d00359d874aad49";

const said: string[] = [];
const host: HostCall = (face, name, args) => {
  switch (`${face.replace(CONTRACT_PREFIX, "")}.${name}`) {
    case "config.get":
      return '{"ä":1}';
    case "clock.now":
      return 1;
    case "log.write":
      return void said.push(args.join(" "));
    case "api.get": {
      const { name: wanted } = args[0] as { name: string };
      if (wanted === "none") throw new HostFailure({ reason: "NotFound", code: 404, message: "no pod", details: "" });
      return JSON.stringify(args[0]);
    }
    case "exec.run":
      return { exitCode: -1, stdout: JSON.stringify(args), stderr: "" };
    case "grpc.unary":
      return (args[2] as Uint8Array).map((byte) => byte - 1);
    default:
      throw new Error(`unexpected ${face} ${name}`);
  }
};

const review = (name: string, more: object = {}) => ({
  ...Object.fromEntries(
    [
      "operation",
      "group",
      "version",
      "kind",
      "resource",
      "subresource",
      "namespace",
      "user",
      "object",
      "oldObject",
      "context",
    ].map((field) => [field, ""]),
  ),
  dryRun: false,
  name,
  ...more,
});

test("each released version has its component", () => {
  const versions = readdirSync(join(import.meta.dirname, "../../wit"));
  for (const version of versions)
    assert.ok(readdirSync(join(import.meta.dirname, version)).includes("guest.wasm"), version);
  assert.equal(
    digestOf(readFileSync(join(import.meta.dirname, "v1/guest.wasm"))),
    FROZEN_V1,
    "a frozen component is never built again",
  );
});

for (const name of ["jco", "wasmtime"] as const) {
  const skip = name === "wasmtime" && !addonReady() ? "the wasmtime addon is not built (cargo)" : false;
  describe(`the frozen component of v1 on ${name}`, { skip }, () => {
    let component: Component;
    let instance: Instance;
    const open = async () => {
      instance = await component.instantiate({ memoryBytesMax: 16 * MiB, deadlineMs: 30_000, host });
    };
    before(async () => {
      const bytes = readFileSync(join(import.meta.dirname, "v1/guest.wasm"));
      const engine = createEngine(name, { cacheDir: join(scratch, name), importPrefixes: [CONTRACT_PREFIX] });
      component = await engine.load(bytes, digestOf(bytes));
      await open();
    });
    after(() => instance?.discard());
    const mutate = (what: string, more: object = {}, deadlineMs = 30_000) =>
      instance.call(HOOKS, "mutate", [review(what, more)], deadlineMs) as Promise<{
        patch: string;
        warnings: string[];
      }>;
    const stops = (kind: string) => (error: unknown) => error instanceof EngineError && error.kind === kind;

    test("values cross as they are", async () => {
      const object = '{"metadata":{"labels":{"a":"x","app":"wéb"}},"list":[{"n":1},[2,3]]}';
      assert.deepEqual(await mutate("echo", { object, user: "ü" }), { patch: object, warnings: ["ü", "wéb", "[2,3]"] });
      const empty = [
        "userTenant",
        "user",
        "group",
        "version",
        "resource",
        "subresource",
        "namespace",
        "name",
        "path",
        "fieldSelector",
      ];
      const asked = {
        ...Object.fromEntries(empty.map((field) => [field, ""])),
        tenant: "t",
        verb: "get",
        labelSelector: "a=b",
      };
      const decision = await instance.call("capstan:plugin/authorizer-hooks@1.0.0", "authorize", [asked], 30_000);
      assert.deepEqual(decision, { verdict: "allow", reason: "t/a=b" });
      const watches = await instance.call("capstan:plugin/controller-hooks@1.0.0", "watches", [], 30_000);
      const keys = (watches as { key: { tag: string; val?: string } }[]).map(({ key: { tag, val } }) => [tag, val]);
      assert.deepEqual(keys, [
        ["self", undefined],
        ["label", "app"],
      ]);
    });

    test("a failure is the hook's own, and leaves the instance", async () => {
      await assert.rejects(mutate("fail"), (error: unknown) => {
        assert.ok(error instanceof EngineError && error.kind === "failure");
        assert.deepEqual(
          { ...(error.payload as object) },
          { reason: "NotFound", code: -5, message: "there is none", details: '{"a":1}' },
        );
        return true;
      });
      const first = Number((await mutate("count")).patch);
      assert.equal(Number((await mutate("count")).patch), first + 1);
    });

    test("what it calls is answered, and refused in the host's words", async () => {
      assert.equal((await mutate("config")).patch, '{"ä":1}');
      assert.ok(said.includes('warn {"ä":1}'));
      assert.equal((JSON.parse((await mutate("get", { namespace: "web" })).patch) as { name: string }).name, "web");
      await assert.rejects(mutate("get", { namespace: "none" }), (error: unknown) => {
        assert.ok(error instanceof EngineError);
        assert.equal((error.payload as { message: string }).message, "no pod");
        return true;
      });
      assert.equal((await mutate("run", { namespace: "in" })).patch, '-1 ["echo",["a","b"],[["K","V"]],"in",5]');
      assert.equal((await mutate("bytes")).patch, "3 254");
    });

    test("memory of calls is given back", async () => {
      await mutate("echo", { object: "x".repeat(MiB) });
      const { memoryBytes } = instance.cost;
      for (let i = 0; i < 50; i++) await mutate("echo", { object: "x".repeat(MiB) });
      assert.equal(instance.cost.memoryBytes, memoryBytes);
    });

    for (const [what, kind] of [
      ["trap", "trap"],
      ["loop", "deadline"],
      ["hungry", "memory"],
    ] as const)
      test(`it is stopped: ${what}`, async () => {
        await assert.rejects(mutate(what, {}, what === "loop" ? 200 : 30_000), stops(kind));
        await instance.discard();
        await open();
        await mutate("count");
      });
  });
}
