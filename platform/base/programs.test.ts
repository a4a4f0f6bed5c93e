import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { test } from "node:test";
import { runByShell } from "./programs.ts";

const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
const run = (file: string, args: string[] = [], more: { input?: string; timeoutMs?: number; bytes?: number } = {}) =>
  runByShell({
    ...{ file, args, env: { ...env, GREETING: "it's $HOME; `id`" }, input: more.input ?? "" },
    ...{ timeoutMs: more.timeoutMs ?? 10_000, outputBytesMax: more.bytes ?? 1_000 },
  });

test("a program gets its arguments, environment and input as they are, and tells its outputs and code", async () => {
  const script = 'cat; printf "%s|" "$GREETING" "$@"; echo no >&2; exit 3';
  const end = await run("sh", ["-c", script, "sh", "a b", "'", '"', "$(id)", "", "\\"], { input: "two\nlines\n" });
  assert.deepEqual(end, {
    code: 3,
    timedOut: false,
    stdout: `two\nlines\nit's $HOME; \`id\`|a b|'|"|$(id)||\\|`,
    stderr: "no\n",
  });
  assert.match((await run("env")).stdout, /^(?!.*HOME=\/)/s);
});

test("a program can be asked to end", async () => {
  const { stdout } = await run("grep", ["SigIgn", "/proc/self/status"]);
  const ignored = BigInt(`0x${stdout.split(/\s+/)[1]}`);
  for (const signal of [constants.signals.SIGTERM, constants.signals.SIGHUP])
    assert.equal(ignored & (1n << BigInt(signal - 1)), 0n);
});

test("programs run beside each other, and one that takes too long is ended", async () => {
  const slow = run("sleep", ["30"], { timeoutMs: 50 });
  const ends = await Promise.all(Array.from({ length: 20 }, (_, i) => run("echo", [String(i)])));
  assert.deepEqual(
    ends.map(({ stdout }) => stdout),
    Array.from({ length: 20 }, (_, i) => `${i}\n`),
  );
  const { code, timedOut } = await slow;
  assert.deepEqual([code, timedOut], [137, true]);
});

test("a program that is not there is 127; an output without end is cut; lines are arguments like others", async () => {
  assert.equal((await run("capstan-no-such-program")).code, 127);
  assert.equal((await run("head", ["-c", "100000", "/dev/zero"], { bytes: 10 })).stdout.length, 10);
  assert.equal((await run("echo", ["two\nlines"])).stdout, "two\nlines\n");
  await assert.rejects(run("echo", ["\0"]), /holds no zeros/);
});

test("the shell that is killed is replaced, and its directory goes", async () => {
  const directory = (await run("readlink", ["/proc/self/fd/1"])).stdout.replace(/\/[^/]*\n$/, "");
  assert.ok(existsSync(directory));
  // It outlives the shell: whoever ends before that is noticed has still been told of.
  await assert.rejects(run("sh", ["-c", "kill -9 $(ps -o ppid= -p $PPID); exec sleep 5"]), /was ended/);
  assert.equal((await run("echo", ["again"])).stdout, "again\n");
  assert.equal(existsSync(directory), false);
});
