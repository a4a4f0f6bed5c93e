import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { HostFailure } from "#sdk/engine/port.ts";
import { applyNet, judgeCommand, judgeRuleset, replaceRules, showNet, tableOf } from "./net.ts";

const LINKS = ["cap0t"];
const refuses = (reason: string) => (error: unknown) =>
  error instanceof HostFailure && (error.payload as { reason: string }).reason === reason;

describe("net: a command", () => {
  const given = [
    "link add cap0ta type dummy",
    "link add cap0ta type veth peer name cap0tb",
    "link add link cap0ta name cap0ta.5 type vlan id 5",
    "link set cap0ta up mtu 1400",
    "link set dev cap0ta master cap0tb",
    "link del cap0ta",
    "address add 10.1.2.3/24 dev cap0ta",
    "address del fd00::1/64 dev cap0ta",
    "route replace 10.9.0.0/16 via 10.1.2.1 dev cap0ta",
    "neighbor add 10.1.2.4 lladdr 02:00:00:00:00:01 dev cap0ta",
  ];
  for (const command of given) it(`may be: ${command}`, () => void judgeCommand(command, LINKS));

  const refused: [why: string, command: string][] = [
    ["another's link", "link set eth0 down"],
    ["another's link as the master", "link set cap0ta master br0"],
    ["another's link as the parent", "link add link eth0 name cap0ta type macvlan"],
    ["another's link as the peer", "link add cap0ta type veth peer name eth9"],
    ["another's link by the beginning of a word", "link set cap0ta mast eth0"],
    ["another network namespace", "link set cap0ta netns 1"],
    ["a program in the kernel", "link set cap0ta xdp object /tmp/x"],
    ["a link that reaches further", "link add cap0ta type tun"],
    ["no link at all", "route add 10.9.0.0/16 via 10.1.2.1"],
    ["the way to everywhere", "route add default dev cap0ta"],
    ["the way to everywhere by halves", "route add 128.0.0.0/1 dev cap0ta"],
    ["another table", "route add 10.9.0.0/16 dev cap0ta table local"],
    ["another object", "netns add x"],
    ["an option", "-force link set cap0ta up"],
    ["a file", "-batch /etc/passwd"],
    ["a second line", "link set cap0ta up\nlink set eth0 down"],
    ["a link of a name too long", `link add ${"cap0t".padEnd(16, "x")} type dummy`],
  ];
  for (const [why, command] of refused)
    it(`may not be about ${why}`, () => assert.throws(() => judgeCommand(command, LINKS), refuses("Denied")));
});

describe("net: rules", () => {
  it("stay in the plugin's own table", () => {
    judgeRuleset('chain c { type filter hook input priority 0; log prefix "a } b" # } \n }');
    assert.throws(() => judgeRuleset("} table inet other {"), refuses("Denied"));
    assert.throws(() => judgeRuleset('include "/etc/shadow"'), refuses("Denied"));
    assert.throws(() => judgeRuleset("chain c {"), refuses("Invalid"));
    assert.throws(() => judgeRuleset('chain c { log prefix "x }'), refuses("Invalid"));
    assert.throws(() => judgeRuleset("# a \\\n } table inet other {"), refuses("Invalid"));
  });

  it("of two plugins have two tables", () => assert.notEqual(tableOf("/d", "a", "t"), tableOf("/d", "b", "t")));
});

/** In a network namespace of its own, which goes with its process: this process enters none. */
const why = (): string | false => {
  if (process.getuid?.() !== 0) return "needs root";
  try {
    execFileSync("unshare", ["--net", "nft", "list", "tables"], { stdio: "ignore" });
    return false;
  } catch {
    return "needs network namespaces and nft";
  }
};

describe("net: on a machine", { skip: why() }, () => {
  it("commands and rules may be repeated, and what they change is shown", async () => {
    if (process.env["NET_TEST_INSIDE"] !== undefined) {
      const commands = ["link add cap0ta type bridge", "link set cap0ta up", "address add 10.1.2.3/24 dev cap0ta"];
      for (let i = 0; i < 2; i++) await applyNet(commands, LINKS, 5_000);
      assert.match(await showNet("address", 5_000), /10\.1\.2\.3/);
      await assert.rejects(applyNet(["link add cap0ta type veth peer name cap0tb"], LINKS, 5_000), refuses("Conflict"));
      await assert.rejects(applyNet(["link set cap0ta down", "link set lo up"], LINKS, 5_000), refuses("Denied"));
      assert.match(await showNet("link", 5_000), /"cap0ta","flags":\[[^\]]*"UP"/);
      const table = tableOf("/data", "p", "mine");
      for (const policy of ["accept", "drop"])
        await replaceRules(`chain c { type filter hook input priority 0; policy ${policy}; }`, table, 5_000);
      const tables = execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" });
      assert.match(tables, /table inet capstan_plugin_[0-9a-f]{8}_p_mine \{\s+chain c \{[^}]*policy drop/);
      assert.equal(tables.match(/chain c/g)?.length, 1);
      for (let i = 0; i < 2; i++) await applyNet(["link del cap0ta"], LINKS, 5_000);
      return;
    }
    const child = spawn("unshare", ["--net", process.execPath, "--test", import.meta.filename], {
      env: { ...process.env, NET_TEST_INSIDE: "1", NODE_TEST_CONTEXT: undefined },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => void said.push(chunk));
    const [code] = (await once(child, "exit")) as [number];
    assert.equal(code, 0, Buffer.concat(said).toString());
  });
});
