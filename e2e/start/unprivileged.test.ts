/**
 * `npm run up` by somebody who is not root: control plane and console, and what a node would need. As root the test takes a clone
 * of its own that belongs to nobody, and runs as nobody.
 */
import assert from "node:assert/strict";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort } from "#db/testing.ts";
import { isRoot } from "#platform/main/host.ts";
import { type Finished, findProgram, run } from "#platform/main/run.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import { eventually, skipWithoutKubectl } from "../support/instance.ts";
import { pathWithout } from "../support/path.ts";

const root = resolve(import.meta.dirname, "../..");
/** Has a name, as PostgreSQL's initdb wants, and owns nothing. */
const NOBODY = "65534";
/** Cargo's folder is large: of it only the note of what the addon was made of. */
const BUILT = "sdk/engine/wasmtime/target";
const LEFT_OUT = ["node_modules", ".git", ".capstan", BUILT].map((path) => join(root, path));

async function cloneFor(user: string, base: string): Promise<string> {
  const clone = join(base, "clone");
  for (const entry of readdirSync(root)) {
    if (LEFT_OUT.includes(join(root, entry))) continue;
    cpSync(join(root, entry), join(clone, entry), { recursive: true, filter: (path) => !LEFT_OUT.includes(path) });
  }
  const note = join(BUILT, "capstan-wasmtime.source");
  if (existsSync(join(root, note))) {
    mkdirSync(join(clone, BUILT), { recursive: true });
    copyFileSync(join(root, note), join(clone, note));
  }
  mkdirSync(join(base, "home"));
  await run("chown", ["-R", `${user}:${user}`, base]);
  const packages = join(root, "node_modules");
  const reachable = await run("setpriv", [...as(user), "test", "-r", join(packages, "pg/package.json")]);
  if (reachable.code === 0) symlinkSync(packages, join(clone, "node_modules"));
  else cpSync(packages, join(clone, "node_modules"), { recursive: true, verbatimSymlinks: true });
  return clone;
}

const as = (user: string) => ["--reuid", user, "--regid", user, "--clear-groups"];

const skip = skipWithoutKubectl || (isRoot() && !findProgram("setpriv") && "setpriv (util-linux) is not on the PATH");

describe("up without root", { skip }, () => {
  let base = "";
  let clone = root;
  let dataDir = "";
  let ports: string[] = [];
  let started: Finished | undefined;

  /** Node runs the clone's command line as that somebody. */
  let path = process.env["PATH"] ?? "";
  function capstan(...args: string[]): Promise<Finished> {
    const script = [join(clone, "platform/main/cli.ts"), ...args, "--data-dir", dataDir];
    const env = { ...process.env, HOME: join(base, "home"), PATH: path };
    const how = { cwd: clone, env, timeoutMs: 300_000 };
    // Ours may be where that somebody may not go; the clone has the same.
    const own = relative(root, process.execPath);
    const node = own.startsWith("..") ? process.execPath : join(clone, own);
    return isRoot() ? run("setpriv", [...as(NOBODY), node, ...script], how) : run(node, script, how);
  }
  const kubectl = (...args: string[]) =>
    run("kubectl", ["--kubeconfig", join(dataDir, "kubeconfig"), "--cache-dir", join(base, "cache"), ...args]);

  before(async () => {
    base = mkdtempSync(join(tmpdir(), "capstan-user-"));
    if (isRoot()) clone = await cloneFor(NOBODY, base);
    else mkdirSync(join(base, "home"));
    dataDir = join(clone === root ? base : clone, ".capstan");
    for (const name of ["api", "console", "kubelet", "postgres"])
      ports.push(`--${name}-port`, String(await freePort()));
    if (!addonReady()) ports = [...ports, "--engine", "jco"];
    started = await capstan("up", ...ports);
  });
  after(async () => {
    await capstan("uninstall", "--yes");
    await capstan("reset", "--yes");
    rmSync(base, { recursive: true, force: true });
  });

  it("says that containers need root and how to get them, and starts all the rest", async () => {
    assert.equal(started?.code, 0, started?.stderr ?? "");
    assert.match(started?.stdout ?? "", /! no containers: a node needs root .*; run `sudo npm run up` for one/);
    assert.match(started?.stdout ?? "", /the node runs WebAssembly components .*, without root/);
    assert.match(started?.stdout ?? "", /Capstan is ready[\s\S]*nodes {2}node-1 \(WebAssembly components only\)/);
    assert.doesNotMatch(started?.stdout ?? "", /change on the host/);
    const { stdout } = await capstan("status");
    for (const name of ["postgres", "apiserver", "controllers", "scheduler", "console", "node-node-1"])
      assert.match(stdout, new RegExp(`^${name} +ready`, "m"));
  });

  it("runs a pod that is a component", async () => {
    const built = await capstan("image", "build", join(clone, "examples/wasm/hello"), "--name", "hello-wasm:1");
    assert.equal(built.code, 0, built.stderr);
    const applied = await kubectl("apply", "-f", join(clone, "examples/wasm/hello.yaml"));
    assert.equal(applied.code, 0, applied.stderr);
    const rolled = await kubectl("rollout", "status", "deployment/hello-wasm", "--timeout=90s");
    assert.equal(rolled.code, 0, rolled.stdout + rolled.stderr);
    // What is Ready is served a moment later.
    const page = await eventually("the node port to be served", async () =>
      (await fetch("http://127.0.0.1:30088")).text(),
    );
    assert.match(page, /^Hello from hello-wasm-/);
    await kubectl("delete", "-f", join(clone, "examples/wasm/hello.yaml"));
  });

  it("answers kubectl and serves the console", async () => {
    const listed = await kubectl("get", "namespaces");
    assert.match(listed.stdout, /^kube-system +Active/m, listed.stderr);
    const created = await kubectl("create", "deployment", "web", "--image", "web:1");
    assert.equal(created.code, 0, created.stderr);
    const page = await fetch(/console +(http:\S+)/.exec(started?.stdout ?? "")?.[1] ?? "");
    assert.equal(page.status, 200);
  });

  it("goes down and comes up again with what was declared", async () => {
    assert.equal((await capstan("down")).code, 0);
    assert.equal((await kubectl("get", "namespaces", "--request-timeout=2s")).code, 1);
    assert.match((await capstan("tenant", "list")).stderr, /the API server does not answer: .*\s+next: npm run up/);
    const again = await capstan("up");
    assert.equal(again.code, 0, again.stderr);
    assert.match((await kubectl("get", "deployments")).stdout, /^web /m);
  });

  it("without the addon and without cargo serves with the engine jco, and says what is missing", {
    skip: !isRoot() && "the clone is not the test's own",
  }, async () => {
    await capstan("down");
    rmSync(join(clone, "sdk/engine/wasmtime/capstan-wasmtime.node"), { force: true });
    path = pathWithout(["cargo"], join(base, "bin"));
    const refused = await capstan("up", "--engine", "wasmtime");
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /the wasmtime addon cannot be built: there is no cargo on this machine\s+next: install cargo and rustc/,
    );
    const started = await capstan("up");
    assert.equal(started.code, 0, started.stderr);
    assert.match(
      started.stdout,
      /✓ component engine .* jco\s+! slower, and less strict: .*there is no cargo on this machine\s+install cargo and rustc/,
    );
    await eventually("components on jco", async () =>
      /^node-resources .*jco +serving/m.test((await kubectl("get", "plugins")).stdout),
    );
  });

  it("lets root take over the same data", { skip: !isRoot() && "needs root" }, async () => {
    await capstan("down");
    const cli = [join(clone, "platform/main/cli.ts")];
    const where = ["--data-dir", dataDir];
    const up = await run(process.execPath, [...cli, "up", "--nodes", "0", "--engine", "jco", ...where], { cwd: clone });
    try {
      assert.equal(up.code, 0, up.stdout + up.stderr);
      assert.match((await kubectl("get", "deployments")).stdout, /^web /m);
      const uid = readFileSync(`/proc/${await postmaster()}/status`, "utf8").match(/^Uid:\s+(\d+)/m)?.[1];
      assert.equal(uid, NOBODY, "the cluster stays its owner's");
    } finally {
      await run(process.execPath, [...cli, "uninstall", "--yes", ...where], { cwd: clone });
      await run(process.execPath, [...cli, "reset", "--yes", ...where], { cwd: clone });
    }
  });

  const postmaster = async (): Promise<string> =>
    /^postgres .*pid (\d+)/m.exec((await capstan("status")).stdout)?.[1] ?? "";
});
