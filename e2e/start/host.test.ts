/** What an instance changes on the host: said before, and taken back by `uninstall`; the data goes with `reset`, when it was meant. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort } from "#db/testing.ts";
import { readConfig } from "#platform/main/config.ts";
import { type Finished, run } from "#platform/main/run.ts";
import type { Service } from "#sdk/api/generated/types.ts";
import { eventually, skipWithoutNode } from "../support/instance.ts";

const cli = resolve(import.meta.dirname, "../../platform/main/cli.ts");

const commandLines = (): string[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      } catch {
        return ""; // ended meanwhile
      }
    });

describe("the host", { skip: skipWithoutNode }, () => {
  let dataDir = "";
  let instance = "";
  let hostPort = 0;
  let up: Finished | undefined;
  const capstan = (...args: string[]) =>
    run(process.execPath, [cli, ...args, "--data-dir", dataDir], { timeoutMs: 300_000 });
  const kubectl = async (...args: string[]): Promise<string> => {
    const where = ["--kubeconfig", join(dataDir, "kubeconfig"), "--cache-dir", join(dataDir, "kube-cache")];
    const { code, stdout, stderr } = await run("kubectl", [...where, ...args], { timeoutMs: 120_000 });
    assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const output = async (program: string, ...args: string[]) => (await run(program, args)).stdout;

  /** By place, what is there of this instance. */
  async function traces(): Promise<Record<string, string[]>> {
    const lines = (text: string, what: RegExp) => text.split("\n").filter((line) => what.test(line));
    const named = (directory: string) =>
      existsSync(directory) ? lines(readdirSync(directory).join("\n"), new RegExp(instance)) : [];
    const cgroups = readdirSync("/sys/fs/cgroup").map((name) => join("/sys/fs/cgroup", name));
    return {
      tables: lines(await output("nft", "list", "tables"), new RegExp(instance)),
      interfaces: lines(await output("ip", "-o", "link"), new RegExp(`cap[nlv]?${instance}`)),
      hostPorts: lines(await output("iptables-save", "-t", "nat"), new RegExp(`dports? ${hostPort}\\b`)),
      mounts: lines(readFileSync("/proc/self/mountinfo", "utf8"), new RegExp(dataDir)),
      cgroups: ["/sys/fs/cgroup", ...cgroups].flatMap(named),
      claim: named("/run/capstan"),
      processes: lines(commandLines().join("\n"), new RegExp(`[ =]${dataDir}`)),
    };
  }

  before(async () => {
    dataDir = mkdtempSync(join(tmpdir(), "capstan-host-"));
    hostPort = await freePort();
    const ports: string[] = [];
    for (const name of ["api", "console", "kubelet", "postgres"])
      ports.push(`--${name}-port`, String(await freePort()));
    up = await capstan("up", "--nodes", "1", ...ports);
    assert.equal(up.code, 0, up.stderr);
    ({ instance } = readConfig(dataDir));
  });
  after(async () => {
    await capstan("uninstall", "--yes");
    await capstan("reset", "--yes");
    rmSync(dataDir, { recursive: true, force: true });
  });

  it("is told about before it is changed", () => {
    const said = up?.stdout ?? "";
    const changes = said.slice(said.indexOf("This will change on the host"), said.indexOf("•"));
    assert.match(changes, /npm run uninstall takes it back/);
    for (const what of [`cap${instance}`, `capstan_${instance}`, "ip_forward", "portmap", `capstan-${instance}-NODE`])
      assert.ok(changes.includes(what), `${what} in\n${changes}`);
  });

  it("has traces of pods with host ports and of load balancers while they run", async () => {
    const ports = [{ containerPort: 8080, hostPort }];
    const spec = { containers: [{ name: "web", image: "capstan.dev/hello:1", ports }] };
    await kubectl("run", "web", "--image=capstan.dev/hello:1", "--overrides", JSON.stringify({ spec }));
    await kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=90s");
    await kubectl("expose", "pod", "web", "--type=LoadBalancer", "--port=80", "--target-port=8080");
    await eventually("an address for the load balancer", async () => {
      const { status } = JSON.parse(await kubectl("get", "service", "web", "-o", "json")) as Service;
      return status?.loadBalancer?.ingress?.[0]?.ip;
    });
    await eventually("the host port to answer", async () => {
      return (await fetch(`http://127.0.0.1:${hostPort}/`)).status === 200;
    });
    for (const [place, found] of Object.entries(await traces())) assert.notEqual(found.length, 0, place);
  });

  it("gets its ports back with down, and everything with uninstall; the data stays", async () => {
    assert.equal((await capstan("down")).code, 0);
    const { hostPorts, processes } = await traces();
    assert.deepEqual({ hostPorts, processes }, { hostPorts: [], processes: [] });
    const { code, stdout, stderr } = await capstan("uninstall", "--yes");
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`nftables table ip capstan_${instance} is removed`));
    for (const [place, found] of Object.entries(await traces())) assert.deepEqual(found, [], place);
    assert.ok(existsSync(join(dataDir, "postgres")));
  });

  it("is set up again by the next up, with the same pods", async () => {
    assert.equal((await capstan("up")).code, 0);
    await kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=90s");
    await eventually("the host port to answer", async () => {
      return (await fetch(`http://127.0.0.1:${hostPort}/`)).status === 200;
    });
  });

  it("keeps the data until reset was answered with yes", async () => {
    const { code, stderr } = await capstan("reset");
    assert.equal(code, 1);
    assert.match(stderr, /Delete everything in .*\? Not asked \(no terminal\): add --yes to mean it/);
    assert.match(await kubectl("get", "pods"), /^web /m);
    assert.equal((await capstan("reset", "--yes")).code, 0);
    assert.equal(existsSync(dataDir), false);
    for (const [place, found] of Object.entries(await traces())) assert.deepEqual(found, [], place);
  });
});
