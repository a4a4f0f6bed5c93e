/** A pod on a bridge that tries its neighbour's address, and IPv6: network namespaces, rules in the kernel. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import { prepareNodeNetwork } from "../host/prepare.ts";
import { mustRun, type RunProgram } from "../host/program.ts";
import { cannotRunLab, createLab, joinBridge, until } from "../testing/lab.ts";
import { type RunningGuard, renderPod, startGuard } from "./guard.ts";

test("names and addresses that are none get no rule", () => {
  const pod = { uid: "u", link: "veth1", mac: "0a:58:00:00:00:01", address: "10.0.0.1" };
  assert.equal(renderPod({ ...pod, link: 'x"; flush ruleset' }), undefined);
  assert.equal(renderPod({ ...pod, address: "fe80::1" }), undefined);
  assert.equal(renderPod({ ...pod, mac: "1 }; flush ruleset" }), undefined);
  assert.ok(renderPod(pod));
  assert.equal(renderPod({ ...pod, secondaryAddress: "fd00::1; accept" }), undefined);
  const dual = renderPod({ ...pod, secondaryAddress: "fd00::1" });
  assert.deepEqual(dual?.ruleset.chains.get("six-veth1")?.rules.slice(1), ["ip6 saddr fd00::1 accept", "drop"]);
});

const skip = await cannotRunLab();
const BRIDGE = "captest2";
const SERVER = "10.81.0.10";
const CLIENT = "10.81.0.11";
const FORGED = "10.81.0.12";

describe("the guard of pods' addresses", { skip: skip ?? false }, () => {
  const lab = createLab();
  const stop = new AbortController();
  let host: RunProgram;
  let client: RunProgram;
  let server: RunProgram;
  let guard: RunningGuard;

  const hardware = async (run: RunProgram) =>
    /link\/ether (\S+)/.exec(await mustRun(run, "ip", ["link", "show", "dev", "eth0"]))?.[1] ?? "";
  const connects = async (from: string, to: string) => {
    const script = `const s = require("node:net").connect({ host: ${JSON.stringify(to)}, port: 80, localAddress: ${JSON.stringify(from)} });
      s.setTimeout(700, () => process.exit(1)); s.on("connect", () => process.exit(0)); s.on("error", () => process.exit(2));`;
    return (await client(process.execPath, ["-e", script])).code === 0;
  };

  before(async () => {
    const node = await lab.namespace("guard");
    host = node.run;
    const { gateway } = await prepareNodeNetwork({
      bridge: BRIDGE,
      podCIDR: "10.81.0.0/24",
      serviceCIDR: "10.82.0.0/16",
      run: host,
    });
    for (const [name, address] of [
      ["server", SERVER],
      ["client", CLIENT],
    ] as const) {
      const pod = await lab.namespace(`g${name}`);
      await joinBridge(host, pod, { link: `g${name}`, bridge: BRIDGE, address, gateway });
      if (name === "server") {
        server = pod.run;
        await lab.node(
          pod.name,
          'require("node:net").createServer((s) => s.end()).listen(80, "::", () => console.log("ready"));',
        );
      } else client = pod.run;
    }
    await mustRun(client, "ip", ["address", "add", `${FORGED}/24`, "dev", "eth0"]);
    const attached = [{ uid: "s", link: "gserver", mac: await hardware(server), address: SERVER }];
    guard = startGuard({ table: "capstan_test_guard", run: host, log: silentLog, signal: stop.signal, attached });
  });
  after(async () => {
    stop.abort();
    await guard?.stopped;
    await lab.close();
  });

  test("a pod connects by its own address and not by another; by IPv6 to no neighbour", async () => {
    const [, local = ""] =
      /inet6 (fe80[0-9a-f:]+)/.exec(await mustRun(server, "ip", ["-6", "address", "show", "eth0"])) ?? [];
    assert.ok(await connects(FORGED, SERVER), "before the pod is attached nothing is known of it");
    const mac = await hardware(client);
    guard.attach({ uid: "c", link: "gclient", mac, address: CLIENT });
    await until("the other address is refused", async () => !(await connects(FORGED, SERVER)));
    assert.ok(await connects(CLIENT, SERVER));
    await mustRun(client, "ip", ["link", "set", "dev", "eth0", "address", "0a:58:00:00:00:99"]);
    assert.equal(await connects(CLIENT, SERVER), false, "with another hardware address");
    await mustRun(client, "ip", ["link", "set", "dev", "eth0", "address", mac]);
    await until("with its own again", () => connects(CLIENT, SERVER));
    if (local !== "") assert.equal(await connects("::", `${local}%eth0`), false);
  });

  test("a pod that is gone leaves no rule, and the rules come back when somebody removed them", async () => {
    await mustRun(host, "nft", ["flush", "ruleset"]);
    guard.detach("c");
    const rules = () => mustRun(host, "nft", ["list", "ruleset"]);
    await until("whole again", async () => (await rules()).includes('"gserver"'));
    assert.doesNotMatch(await rules(), /gclient/);
  });
});
