/** The disk fills up while Capstan runs: writes are refused with the cause, nothing that was acknowledged is lost, and all goes on with space. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort } from "#db/testing.ts";
import { paths } from "#platform/main/config.ts";
import { isRoot } from "#platform/main/host.ts";
import { isAlive, readIdentity } from "#platform/main/processes.ts";
import { findProgram, run } from "#platform/main/run.ts";
import { readReport } from "#platform/main/supervisor.ts";
import { eventually, skipWithoutKubectl } from "../support/instance.ts";

const cli = resolve(import.meta.dirname, "../../platform/main/cli.ts");
const MiB = 2 ** 20;
/** What `up` wants to be free, and what an instance takes. Memory is taken only for what is written. */
const SIZE = "2g";

/** A container's root may be refused it. */
function whyNotMountable(): string | false {
  if (!isRoot() || !findProgram("mount")) return "mounting a file system of the test's own needs root";
  const dir = mkdtempSync(join(tmpdir(), "capstan-mount-"));
  const tried = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", dir], { encoding: "utf8" });
  if (tried.status === 0) spawnSync("umount", [dir]);
  rmSync(dir, { recursive: true, force: true });
  return tried.status === 0 ? false : `root may mount nothing here: ${tried.stderr.trim()}`;
}

/** What a database leaves over, so that not a line of a log fits. */
function fill(file: string): void {
  for (;;) appendFileSync(file, Buffer.alloc(4096));
}

describe("a disk that fills up", { skip: skipWithoutKubectl || whyNotMountable() }, () => {
  let disk = "";
  let scratch = "";
  let dataDir = "";
  const capstan = (...args: string[]) =>
    run(process.execPath, [cli, ...args, "--data-dir", dataDir], { timeoutMs: 300_000 });
  const kubectl = (...args: string[]) =>
    run("kubectl", ["--kubeconfig", join(dataDir, "kubeconfig"), "--request-timeout=20s", ...args]);
  const must = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await kubectl(...args);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const resized = async (size: string) => {
    const { code, stderr } = await run("mount", ["-o", `remount,size=${size}`, disk]);
    assert.equal(code, 0, stderr);
  };
  const names = ["supervisor", "postgres", "apiserver", "controllers", "scheduler", "console"];
  const pids = () => new Map(names.map((name) => [name, readIdentity(paths(dataDir).run, name)?.pid]));

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "capstan-large-"));
    writeFileSync(join(scratch, "large"), "x".repeat(900_000));
    disk = mkdtempSync(join(tmpdir(), "capstan-disk-"));
    dataDir = join(disk, "data");
    const mounted = await run("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "tmpfs", disk]);
    assert.equal(mounted.code, 0, mounted.stderr);
    const ports: string[] = [];
    for (const name of ["api", "console", "kubelet", "postgres"])
      ports.push(`--${name}-port`, String(await freePort()));
    const { code, stderr } = await capstan("up", "--nodes", "0", ...ports);
    assert.equal(code, 0, stderr);
  });
  after(async () => {
    await run("mount", ["-o", `remount,size=${SIZE}`, disk]);
    await capstan("uninstall", "--yes");
    await capstan("reset", "--yes");
    await run("umount", ["-l", disk]);
    for (const directory of [disk, scratch]) rmSync(directory, { recursive: true, force: true });
  });

  it("refuses writes with the cause, and keeps every process", async () => {
    await must("create", "configmap", "before", "--from-literal=a=1");
    const running = pids();
    const { blocks, bfree, bsize } = statfsSync(disk);
    await resized(String(Math.ceil(((blocks - bfree) * bsize) / MiB) * MiB));
    const large = `--from-file=${join(scratch, "large")}`;
    await eventually("a write to be refused", async () => {
      const { code, stderr } = await kubectl("create", "configmap", `large-${Date.now()}`, large);
      return code !== 0 && /the database's disk is full; nothing was written/.test(stderr);
    });
    assert.throws(() => fill(join(disk, "rest")), /ENOSPC/);
    assert.match(await must("get", "configmaps"), /^before /m);
    process.kill(running.get("scheduler") ?? 0, "SIGKILL");
    await eventually("the supervisor to try again", async () => {
      assert.ok(isAlive(readIdentity(paths(dataDir).run, "supervisor")), "the supervisor died");
      return !isAlive(readIdentity(paths(dataDir).run, "scheduler"));
    });
    for (const name of names.filter((other) => other !== "scheduler")) {
      assert.equal(pids().get(name), running.get(name), name);
      assert.ok(isAlive(readIdentity(paths(dataDir).run, name)), `${name} died`);
    }
  });

  it("goes on when there is space again, with everything that was acknowledged", async () => {
    await resized(SIZE);
    await eventually("the scheduler to be ready again", async () => {
      const { scheduler } = readReport(paths(dataDir).run) ?? {};
      return (
        scheduler?.state === "ready" && scheduler.restarts > 0 && isAlive(readIdentity(paths(dataDir).run, "scheduler"))
      );
    });
    await must("create", "configmap", "after", "--from-literal=a=1");
    assert.equal(await must("get", "configmap", "before", "-o", "jsonpath={.data.a}"), "1");
  });
});
