/** Beside another instance, another `up`, another containerd; on a full disk and without kubectl: what `up` says, and what it leaves alone. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { paths, readConfig } from "#platform/main/config.ts";
import { isRoot } from "#platform/main/host.ts";
import { writeIdentity } from "#platform/main/processes.ts";
import { type Finished, findProgram, run } from "#platform/main/run.ts";
import { eventually, type Instance, skipWithoutKubectl, skipWithoutNode, startInstance } from "../support/instance.ts";
import { pathWithout } from "../support/path.ts";

const cli = resolve(import.meta.dirname, "../../platform/main/cli.ts");
const capstan = (args: string[], env: NodeJS.ProcessEnv = process.env): Promise<Finished> =>
  run(process.execPath, [cli, ...args], { env, timeoutMs: 300_000 });

/** A directory of the test's own, in which an instance may have been made: gone at the end, whatever became of it. */
async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "capstan-"));
  try {
    await body(directory);
  } finally {
    for (const command of ["uninstall", "reset"]) await capstan([command, "--yes", "--data-dir", directory]);
    rmSync(directory, { recursive: true, force: true });
  }
}

const pids = (status: string): string[] => status.match(/pid \d+/g) ?? [];

describe("a second start", { skip: skipWithoutKubectl }, () => {
  let first: Instance;
  before(async () => {
    first = await startInstance({ nodes: 0 });
  });
  after(async () => {
    await first?.remove();
  });

  it("on the same data directory finds everything running, and starts nothing", async () => {
    const before = pids((await first.capstan("status")).stdout);
    assert.match(await first.up(), /Capstan is ready/);
    const same = await first.capstan("up", "--nodes", "0", "--api-port", String(readConfig(first.dataDir).api.port));
    assert.equal(same.code, 0, same.stderr);
    assert.deepEqual(pids((await first.capstan("status")).stdout), before);
  });

  it("cannot change what runs, and says how to", async () => {
    const { code, stderr } = await first.capstan("up", "--api-port", "1");
    assert.equal(code, 1);
    assert.match(
      stderr,
      /Capstan is running; apiPort can only change while it is down\s+next: npm run down && npm run up/,
    );
  });

  it("of one role runs it in the foreground beside the others, until it is told to stop", async () => {
    const child = spawn(process.execPath, [cli, "up", "--role", "scheduler", "--data-dir", first.dataDir]);
    const exit = once(child, "exit");
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    try {
      await eventually("the role to be ready", async () => said.includes('"message":"ready"'));
    } finally {
      child.kill("SIGTERM");
    }
    assert.deepEqual(await exit, [0, null], said);
    assert.match((await first.capstan("status")).stdout, /^scheduler +ready/m);
  });

  it("is what npx capstan does, from anywhere", async () => {
    const root = resolve(import.meta.dirname, "../..");
    const how = { cwd: first.dataDir, timeoutMs: 120_000 };
    const shown = await run("npx", ["--prefix", root, "capstan", "status", "--data-dir", first.dataDir], how);
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stdout, /^apiserver +ready/m);
  });

  it("without a node has nowhere to load images to, and says so", async () => {
    const { code, stderr } = await first.capstan("image", "load", cli);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /there is no node on this machine to load images into\s+next: npm run down && npm run up -- --nodes 1/,
    );
  });

  it("elsewhere on the same ports names the instance that has them, and leaves it alone", () =>
    withDirectory(async (directory) => {
      const { api } = readConfig(first.dataDir);
      const before = pids((await first.capstan("status")).stdout);
      const { code, stderr } = await capstan([
        "up",
        "--nodes",
        "0",
        "--data-dir",
        directory,
        "--api-port",
        String(api.port),
      ]);
      assert.equal(code, 1);
      // Instances know of each other through a directory that only root may write to.
      const who = isRoot() ? `another Capstan, whose data is in ${first.dataDir}` : "another program";
      assert.ok(stderr.includes(`port ${api.port} on 0.0.0.0 is taken by ${who}`), stderr);
      assert.match(stderr, new RegExp(`next: npm run up -- --api-port ${api.port + 1000} `));
      assert.deepEqual(pids((await capstan(["status", "--data-dir", directory])).stdout), []);
      assert.deepEqual(pids((await first.capstan("status")).stdout), before);
      assert.match(await first.kubectl("get", "namespaces"), /^default +Active/m);
    }));

  it("while another is at work says so", () =>
    withDirectory(async (directory) => {
      const { run: runDir } = paths(directory);
      mkdirSync(runDir, { recursive: true });
      writeIdentity(runDir, "up", process.pid);
      const { code, stderr } = await capstan(["up", "--nodes", "0", "--data-dir", directory]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        new RegExp(`another up is at work there \\(pid ${process.pid}\\)\\s+next: wait until it is done`),
      );
    }));

  it("without kubectl on the PATH says what to install", () =>
    withDirectory(async (directory) => {
      const path = pathWithout(["kubectl"], join(directory, "bin"));
      const { code, stdout } = await capstan(["up", "--data-dir", first.dataDir], { ...process.env, PATH: path });
      assert.equal(code, 0);
      assert.match(stdout, /kubectl is not on the PATH: install any kubectl from 1\.30 on, or use the console/);
    }));
});

describe("a data directory", () => {
  it("that may not be written to, or that is none, is named", () =>
    withDirectory(async (directory) => {
      writeFileSync(join(directory, "file"), "");
      const { code, stderr } = await capstan(["up", "--nodes", "0", "--data-dir", join(directory, "file/below")]);
      assert.equal(code, 1);
      assert.match(stderr, /the data directory .*file\/below cannot be used: ENOTDIR/);
      assert.match(stderr, /next: npm run up -- --data-dir PATH/);
    }));

  it("too long for a socket's name is refused before anything starts", { skip: skipWithoutNode }, () =>
    withDirectory(async (directory) => {
      const long = join(directory, "x".repeat(80));
      const { code, stderr } = await capstan(["up", "--nodes", "1", "--data-dir", long]);
      assert.equal(code, 1);
      assert.match(stderr, /the socket path .* is longer than 107 bytes\s+next: npm run up -- --data-dir PATH/);
    }),
  );

  const mountable = isRoot() && findProgram("mount") ? false : "mounting a small file system needs root";
  it("on a full disk is refused with what is missing", { skip: mountable }, (t) =>
    withDirectory(async (directory) => {
      const disk = join(directory, "disk");
      mkdirSync(disk);
      const mounted = await run("mount", ["-t", "tmpfs", "-o", "size=64m", "tmpfs", disk]);
      if (mounted.code !== 0) return t.skip(`mount: ${mounted.stderr.trim()}`);
      try {
        const { code, stderr } = await capstan(["up", "--nodes", "0", "--data-dir", join(disk, "data")]);
        assert.equal(code, 1);
        assert.match(stderr, /disk\/data has 6\d MiB free; Capstan needs 1 GiB to start/);
        assert.match(stderr, /next: free some space, or choose another disk: npm run up -- --data-dir PATH/);
      } finally {
        await run("umount", ["-l", disk]);
      }
    }),
  );
});

describe("a containerd of the machine's own", { skip: skipWithoutNode }, () => {
  let directory = "";
  let foreign: ChildProcess | undefined;
  const socket = () => join(directory, "c.sock");
  const namespaces = async () => (await run("ctr", ["-a", socket(), "namespaces", "ls", "-q"])).stdout.split("\n");

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "foreign-"));
    const config = join(directory, "config.toml");
    const at = (name: string) => JSON.stringify(join(directory, name));
    writeFileSync(
      config,
      `version = 2\nroot = ${at("root")}\nstate = ${at("state")}\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = ${at("c.sock")}\n`,
    );
    foreign = spawn("containerd", ["--config", config], { stdio: "ignore" });
    await eventually("the foreign containerd to answer", async () => {
      const { code } = await run("ctr", ["-a", socket(), "namespaces", "create", "somebodys"]);
      return code === 0;
    });
  });
  after(async () => {
    if (foreign?.exitCode === null && foreign.signalCode === null) {
      const exit = once(foreign, "exit");
      foreign.kill("SIGTERM");
      await exit;
    }
    await run("umount", ["-l", join(directory, "state")]);
    rmSync(directory, { recursive: true, force: true });
  });

  it("is neither used nor stopped: a node brings its own", async () => {
    const machines = existsSync("/run/containerd/containerd.sock");
    const instance = await startInstance({ nodes: 1 });
    try {
      await instance.kubectl("run", "own", "--image=capstan.dev/hello:1");
      await instance.kubectl("wait", "--for=condition=Ready", "pod/own", "--timeout=90s");
      const own = readConfig(instance.dataDir).nodes[0]?.containerdSocket ?? "";
      assert.ok(own.startsWith(instance.dataDir));
      assert.match((await run("ctr", ["-a", own, "-n", "k8s.io", "containers", "ls"])).stdout, /capstan\.dev\/hello:1/);
      assert.deepEqual((await namespaces()).filter(Boolean), ["somebodys"]);
      await instance.down();
    } finally {
      await instance.remove();
    }
    assert.deepEqual([foreign?.exitCode, foreign?.signalCode], [null, null]);
    assert.deepEqual((await namespaces()).filter(Boolean), ["somebodys"]);
    assert.equal(existsSync("/run/containerd/containerd.sock"), machines);
  });
});
