import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveCall } from "../cli/cases.ts";
import { HostFailure } from "../engine/port.ts";
import { parseManifest } from "../plugin/manifest.ts";
import { createMockHost } from "./plugin-host.ts";
import { difference } from "./plugin-values.ts";

const least = { name: "p", version: "1.0.0", witVersion: "v1", worlds: ["admission", "controller", "volume"] };
const manifest = parseManifest(least);

test("arguments are made whole, and what the contract does not have is named", () => {
  const {
    interfaceName,
    functionName,
    arguments: args,
  } = resolveCall(manifest, { hook: "mutate", arguments: [{ object: { a: 1 }, dryRun: true }] });
  assert.deepEqual([interfaceName, functionName], ["capstan:plugin/admission-hooks@1.0.0", "mutate"]);
  const review = args[0] as Record<string, unknown>;
  assert.deepEqual([review.object, review.dryRun, review.oldObject], ['{"a":1}', true, ""]);
  assert.throws(
    () => resolveCall(manifest, { hook: "mutate", arguments: [{ objekt: {} }] }),
    /review has no field objekt/,
  );
  assert.throws(
    () => resolveCall(manifest, { hook: "mutate", arguments: [{ dryRun: 1 }] }),
    /review\.dryRun is not a bool/,
  );
  assert.throws(() => resolveCall(manifest, { hook: "sing", arguments: [] }), /the plugin has no hook sing/);
  const node = resolveCall(manifest, { hook: "volume-node-hooks.get-capabilities", arguments: [] });
  assert.deepEqual(
    [node.interfaceName, node.functionName],
    ["capstan:plugin/volume-node-hooks@1.0.0", "getCapabilities"],
  );
});

test("what is expected is a part of what is answered", () => {
  assert.equal(
    difference({ patch: [{ op: "add" }] }, { patch: '[{"op":"add","path":"/a"}]', warnings: [] }),
    undefined,
  );
  assert.equal(difference(["/^a+$/"], ["aaa"]), undefined);
  assert.equal(difference({ codes: [0, 1] }, { codes: new Uint16Array([0, 1]) }), undefined);
  assert.match(difference({ a: { b: 1 } }, { a: { b: 2 } }) ?? "", /^the answer\.a\.b is 2, expected 1$/);
  assert.match(difference([1], [1, 2]) ?? "", /has 2 items, expected 1/);
  assert.match(difference("x", undefined) ?? "", /is undefined, expected "x"/);
});

test("the mock host denies what the manifest does not ask for, and replays what was recorded, once each", async () => {
  const granted = parseManifest({
    ...least,
    capabilities: [
      { name: "exec", reason: "r", programs: { ip: "ip" } },
      { name: "files", reason: "r", trees: { t: "/t" } },
      { name: "api", reason: "r" },
    ],
  });
  const host = await createMockHost({
    manifest: granted,
    files: { "t/a/b": "text" },
    answers: [
      { call: "exec.run", arguments: ["ip", ["a"], [], "", 0], value: { exitCode: 0, stdout: "one", stderr: "" } },
      { call: "exec.run", value: { exitCode: 1, stdout: "", stderr: "other" } },
      { call: "api.get", failure: { reason: "Forbidden", message: "no", code: 403 } },
    ],
  });
  const refused = (reason: string) => (error: unknown) =>
    error instanceof HostFailure && (error.payload as { reason: string }).reason === reason;
  const run = (...args: unknown[]) =>
    host.call("capstan:plugin/exec", "run", args) as Promise<{ stdout: string; stderr: string }>;
  assert.equal((await run("ip", ["b"], [], "", 0)).stderr, "other");
  assert.equal((await run("ip", ["a"], [], "", 0)).stdout, "one");
  await assert.rejects(run("ip", ["a"], [], "", 0) as Promise<unknown>, refused("NotFound"));
  await assert.rejects(host.call("capstan:plugin/grpc", "unary", []) as Promise<unknown>, refused("Denied"));
  const target = { group: "", version: "v1", resource: "pods", subresource: "", namespace: "n", name: "x" };
  await assert.rejects(host.call("capstan:plugin/api", "get", [target]) as Promise<unknown>, refused("Forbidden"));
  await assert.rejects(host.call("capstan:plugin/api", "get", [target]) as Promise<unknown>, refused("NotFound"));
  assert.deepEqual(await host.call("capstan:plugin/files", "list", ["t", ""]), ["a"]);
  assert.equal(await host.call("capstan:plugin/files", "read", ["t", "a/b"]), "text");
  assert.deepEqual(host.calls.slice(0, 2), ["exec.run", "exec.run"]);
});
