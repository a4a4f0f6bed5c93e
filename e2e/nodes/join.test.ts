/** A second machine joins, works, gets new certificates and leaves. It is a network namespace here: a cable to the first, and nothing else. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { paths } from "#platform/main/config.ts";
import { type Finished, run } from "#platform/main/run.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";

const cli = resolve(import.meta.dirname, "../../platform/main/cli.ts");
const NAME = "second";
const PORT = "10250";
/** Two families, apart from what other instances take by themselves. */
const RANGES = ["--pod-cidr", "10.219.0.0/16,fd00:10:219::/56", "--service-cidr", "10.119.0.0/16,fd00:10:119::/112"];

describe("a machine that joins", { skip: skipWithoutNode }, () => {
  const id = process.pid.toString(36);
  const [namespace, cable] = [`captest-${id}-join`, `cj${id}`];
  const dataDir = mkdtempSync(join(tmpdir(), "capstan-join-"));
  const inside = (program: string, ...args: string[]): Promise<Finished> =>
    run("nsenter", [`--net=/run/netns/${namespace}`, "--", program, ...args], { timeoutMs: 300_000 });
  const second = (...args: string[]) => inside(process.execPath, cli, ...args, "--data-dir", dataDir);
  const ip = async (...args: string[]) => {
    const { code, stderr } = await run("ip", args, { timeoutMs: 10_000 });
    assert.equal(code, 0, `ip ${args.join(" ")}: ${stderr}`);
  };
  let capstan: Instance;
  const get = async <T>(...what: string[]) => JSON.parse(await capstan.kubectl("get", ...what, "-o", "json")) as T;
  const isReady = (object: Node | Pod) =>
    object.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") === true;
  const pod = (name: string, nodeName: string): string => {
    const path = join(dataDir, `${name}.json`);
    const containers = [{ name: "c", image: "capstan.dev/hello:1" }];
    const spec = { nodeName, containers, terminationGracePeriodSeconds: 1 };
    writeFileSync(path, JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata: { name }, spec }));
    return path;
  };
  const addresses = async (name: string) =>
    (await get<Pod>("pod", name)).status?.podIPs?.map(({ ip: one }) => one) ?? [];

  before(async () => {
    await ip("netns", "add", namespace);
    await ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    await ip("address", "add", "198.18.77.1/24", "dev", cable);
    await ip("address", "add", "fd00:198:18:77::1/64", "dev", cable, "nodad");
    await ip("link", "set", cable, "up");
    const own = ["address add 198.18.77.2/24 dev eth0", "address add fd00:198:18:77::2/64 dev eth0 nodad"];
    for (const args of ["link set lo up", ...own, "link set eth0 up"]) await inside("ip", ...args.split(" "));
    for (const gateway of ["198.18.77.1", "fd00:198:18:77::1"])
      await inside("ip", "route", "add", "default", "via", gateway);
    // The first machine is known by the addresses of the cable.
    capstan = await startInstance({ args: RANGES });
  });
  after(async () => {
    await second("uninstall", "--yes");
    await second("reset", "--yes");
    await capstan?.remove();
    await run("ip", ["netns", "delete", namespace], { timeoutMs: 10_000 });
    rmSync(dataDir, { recursive: true, force: true });
  });

  it("a wrong token is refused, with what to do", async () => {
    const url = capstan.apiUrl.replace("127.0.0.1", "198.18.77.1");
    const made = await capstan.capstan("node", "token");
    assert.equal(made.code, 0, made.stderr);
    const token = /--token (\S+)/.exec(made.stdout)?.[1] ?? "";
    const wrong = `${token.split(".")[0]}.aaaaaaaaaaaaaaaa`;
    const refused = await second("node", "join", url, "--token", wrong, "--name", NAME);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /not the cluster that the token is of[\s\S]*node token/);
  });

  it("joins by a token and becomes Ready, with a range of its own and its own identity", async () => {
    const url = capstan.apiUrl.replace("127.0.0.1", "198.18.77.1");
    const made = await capstan.capstan("node", "token");
    const [, token = "", hash = ""] = /--token (\S+) --ca-cert-hash (\S+)/.exec(made.stdout) ?? [];
    const options = ["--token", token, "--ca-cert-hash", hash, "--name", NAME, "--kubelet-port", PORT];
    const joined = await second("node", "join", url, ...options);
    assert.equal(joined.code, 0, joined.stdout + joined.stderr);
    const node = await eventually("Ready", async () => {
      const found = await get<Node>("node", NAME);
      return isReady(found) && found;
    });
    const first = await get<Node>("node", "node-1");
    assert.ok(node.spec?.podCIDR && node.spec.podCIDR !== first.spec?.podCIDR);
    const own = node.status?.addresses?.filter((a) => a.type === "InternalIP").map((a) => a.address);
    assert.deepEqual(own, ["198.18.77.2", "fd00:198:18:77::2"]);
    assert.equal(node.spec.podCIDRs?.length, 2);
  });

  it("pods of both machines reach each other by both families, and names; logs and exec find the agent", async () => {
    await capstan.kubectl("apply", "-f", pod("here", "node-1"), "-f", pod("there", NAME));
    await capstan.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/here", "pod/there");
    for (const [from, to] of [
      ["here", "there"],
      ["there", "here"],
    ] as const) {
      const all = await addresses(to);
      assert.equal(all.length, 2);
      for (const at of all)
        await eventually(`${from} reaches ${to} by ${at}`, async () => {
          const script = `nc -w 2 ${at} 8080 </dev/null && echo yes`;
          return (await capstan.kubectl("exec", from, "--", "sh", "-c", script)).includes("yes");
        });
    }
    const script =
      "nslookup kubernetes.default.svc.cluster.local && nc -w 2 kubernetes.default 443 </dev/null && echo yes || echo no";
    await eventually("names and the API from the second machine", async () =>
      (await capstan.kubectl("exec", "there", "--", "sh", "-c", script)).includes("yes"),
    );
  });

  it("gets new certificates by its old ones, while its pods run on", async () => {
    const file = paths(dataDir).roleKubeconfig(`node-${NAME}`);
    const container = async () => (await get<Pod>("pod", "there")).status?.containerStatuses?.[0]?.containerID;
    const [before_, running] = [readFileSync(file, "utf8"), await container()];
    const renewed = await second("node", "renew");
    assert.equal(renewed.code, 0, renewed.stderr);
    assert.notEqual(readFileSync(file, "utf8"), before_);
    await eventually("exec, by the new serving certificate", async () =>
      (await capstan.kubectl("exec", "there", "--", "echo", "yes")).includes("yes"),
    );
    assert.equal(await container(), running);
  });

  it("is drained and removed; the ways to it go", async () => {
    const range = (await get<Node>("node", NAME)).spec?.podCIDR ?? "";
    const routes = async () => (await run("ip", ["-4", "route", "show", range], { timeoutMs: 10_000 })).stdout;
    assert.match(await routes(), /via 198\.18\.77\.2/);
    const drained = await capstan.capstan("node", "drain", NAME);
    assert.equal(drained.code, 0, drained.stderr);
    assert.match((await capstan.tryKubectl("get", "pod", "there")).stderr, /NotFound/);
    assert.equal((await second("down")).code, 0);
    assert.equal((await capstan.capstan("node", "remove", NAME)).code, 0);
    assert.match((await capstan.tryKubectl("get", "node", NAME)).stderr, /NotFound/);
    await eventually("no way to its pods", async () => (await routes()) === "");
  });
});
