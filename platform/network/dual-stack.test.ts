/** A node whose pods have addresses of both families, really connecting: network namespaces on a bridge, rules in the kernel. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { mustRun, type RunProgram } from "./host/program.ts";
import { networkNames } from "./names.ts";
import { cannotRunLab, createLab, echoServer, joinBridge, resolveRecord, until } from "./testing/lab.ts";
import { nodeProcess } from "./testing/node-process.ts";

const skip = (await cannotRunLab()) ?? (existsSync("/proc/net/if_inet6") ? false : "this kernel has no IPv6");
const SECOND = { podCIDR: "fd00:77::/56", serviceCIDR: "fd00:78::/112", nodePodCIDR: "fd00:77::/64" };
const WEB = "fd00:78::20";
const cluster = {
  node: { name: "node-1", podCIDR: "10.77.0.0/24" },
  podCIDR: "10.77.0.0/16",
  serviceCIDR: "10.78.0.0/16",
  dnsAddress: "10.78.0.10",
  webAddress: "10.78.0.20",
  secondary: { ...SECOND, webAddress: WEB },
  webPods: [
    { address: "10.77.0.9", nodeName: "node-1", second: "fd00:77::9" },
    { address: "10.77.0.10", nodeName: "node-1", second: "fd00:77::a" },
  ],
};

async function start(t: { after(fn: () => Promise<void>): void }, more: { closed?: boolean } = {}) {
  const lab = createLab();
  t.after(() => lab.close());
  const host = await lab.namespace("host");
  const { podBridge } = networkNames(lab.id);
  await lab.node(host.name, nodeProcess({ ...cluster, ...more, instance: lab.id }));
  const pods: RunProgram[] = [];
  for (const [i, { address, second }] of cluster.webPods.entries()) {
    const pod = await lab.namespace(`pod${i}`);
    await joinBridge(host.run, pod, {
      ...{ link: `pod${i}`, bridge: podBridge, address, gateway: "10.77.0.1" },
      second: { address: second, gateway: "fd00:77::1" },
    });
    await lab.node(pod.name, echoServer(`web${i}`, 8080, "::"));
    pods.push(pod.run);
  }
  return { host: host.run, pods: pods as [RunProgram, RunProgram] };
}

const get = async (from: RunProgram, host: string) =>
  (await from("curl", ["-s", "--noproxy", "*", "-m", "2", `http://${host}/`])).stdout;

describe("both families", { skip }, () => {
  test("a service's second address, its names and its pods are reached from pods and from the node", async (t) => {
    const { host, pods } = await start(t);
    for (const from of [host, ...pods]) {
      assert.match(await get(from, `[${WEB}]`), /^web\d fd00:77:/);
      assert.match(await get(from, "10.78.0.20"), /^web\d /);
    }
    // Both endpoints serve, the one that asks too.
    const seen = new Set<string>();
    await until("both pods answer", async () => seen.add((await get(pods[0], `[${WEB}]`)).slice(0, 4)).size === 2);
    const say = async (name: string, type: "AAAA" | "PTR") =>
      (await mustRun(pods[0], process.execPath, ["-e", resolveRecord("10.78.0.10", name, type)])).trim();
    assert.equal(await say("web.default.svc.cluster.local", "AAAA"), WEB);
    const ptr = `0.2.0.0.${"0.0.0.0.".repeat(5)}8.7.0.0.0.0.d.f.ip6.arpa`;
    assert.equal(await say(ptr, "PTR"), "web.default.svc.cluster.local");
    assert.match(await get(pods[0], "[fd00:77::a]:8080"), /^web1 fd00:77::9/);
    // What nobody serves is refused at once.
    const { code } = await pods[0]("curl", ["-s", "--noproxy", "*", "-m", "5", "http://[fd00:78::99]/"]);
    assert.equal(code, 7);
  });

  test("a policy that closes pods closes both of their addresses", async (t) => {
    const { host, pods } = await start(t, { closed: true });
    for (const target of ["[fd00:77::a]:8080", "10.77.0.10:8080"]) {
      assert.equal(await get(pods[0], target), "", target);
      // The node always reaches its pods.
      assert.match(await get(host, target), /^web1 /, target);
    }
  });
});
