import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { hostChanges, undoHostChanges } from "./host/changes.ts";
import { ensureBridge } from "./host/prepare.ts";
import { mustRun } from "./host/program.ts";
import { networkNames } from "./names.ts";
import { cannotRunLab, createLab, echoServer, joinBridge, resolveName } from "./testing/lab.ts";
import { nodeProcess } from "./testing/node-process.ts";

const skip = (await cannotRunLab()) ?? false;
const lab = createLab();
const dataDir = mkdtempSync(join(tmpdir(), "capstan-network-"));
after(async () => {
  await lab.close();
  rmSync(dataDir, { recursive: true, force: true });
});

test("a node's services and names work from a pod and from the node, stay when the process ends, and are taken back whole", {
  skip,
}, async () => {
  const host = await lab.namespace("host");
  const pod = await lab.namespace("pod");
  const { guardTable, podBridge, policyTable, table } = networkNames(lab.id);
  // As Docker and firewalls leave a host; an address of an earlier range is on the bridge.
  for (const chain of ["FORWARD", "INPUT"]) await mustRun(host.run, "iptables", ["-P", chain, "DROP"]);
  await mustRun(host.run, "iptables", ["-A", "INPUT", "-i", "lo", "-j", "ACCEPT"]);
  await ensureBridge(podBridge, ["10.76.0.1/24"], host.run);
  const started = await lab.node(
    host.name,
    nodeProcess({
      instance: lab.id,
      node: { name: "node-1", podCIDR: "10.77.0.0/24" },
      podCIDR: "10.77.0.0/16",
      serviceCIDR: "10.78.0.0/16",
      dnsAddress: "10.78.0.10",
      webAddress: "10.78.0.20",
      webPods: [{ address: "10.77.0.9", nodeName: "node-1" }],
    }),
  );
  await joinBridge(host.run, pod, { link: "pod", bridge: podBridge, address: "10.77.0.9", gateway: "10.77.0.1" });
  await lab.node(pod.name, echoServer("web", 8080));

  const resolve = resolveName("10.78.0.10", "web.default.svc.cluster.local");
  for (const from of [pod.run, host.run]) {
    assert.equal((await mustRun(from, process.execPath, ["-e", resolve])).trim(), "10.78.0.20");
    assert.match(await mustRun(from, "curl", ["-s", "--noproxy", "*", "-m", "3", "http://10.78.0.20/"]), /^web /);
  }

  started.kill("SIGTERM");
  await once(started, "exit");
  assert.match(await mustRun(pod.run, "curl", ["-s", "--noproxy", "*", "-m", "3", "http://10.78.0.20/"]), /^web /);

  assert.doesNotMatch(await mustRun(host.run, "ip", ["address", "show", "dev", podBridge]), /10\.76\.0/);
  const said = hostChanges({ instance: lab.id, nodes: 1 }).join("\n");
  assert.ok(said.includes(podBridge) && said.includes(table), said);
  const lines = await undoHostChanges({ instance: lab.id, dataDir }, host.run);
  assert.deepEqual(lines, [
    `nftables table ip ${table} is removed`,
    `nftables table ip ${policyTable} is removed`,
    `nftables table bridge ${guardTable} is removed`,
    `interface ${podBridge} is removed`,
  ]);
  assert.doesNotMatch(await mustRun(host.run, "nft", ["list", "ruleset"]), /capstan/);
  assert.deepEqual(await undoHostChanges({ instance: lab.id, dataDir }, host.run), []);
});
