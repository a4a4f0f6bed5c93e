/** The real CNI programs against real (throw-away) network namespaces. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PluginFailure } from "#sdk/plugin/failure.ts";
import type { Attachment } from "#sdk/plugin/types.ts";
import { createHooks, type Host } from "./hooks.ts";

const id = randomBytes(3).toString("hex");
const node = `captest-${id}-cni`;
const ip = (...args: string[]) => spawnSync("ip", args, { encoding: "utf8" });
const skip =
  process.getuid?.() !== 0
    ? "needs root for network namespaces"
    : existsSync("/usr/lib/cni/bridge")
      ? false
      : "needs the CNI programs: apt-get install containernetworking-plugins";

/** What the plugin host gives a component, here for a process: programs inside the node's namespace, files below a directory. */
function hostIn(directory: string, podCIDR: string): Host {
  const path = (name: string) => join(directory, name);
  return {
    run(program, options) {
      const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...options.env };
      const { status, stdout, stderr } = spawnSync(
        "nsenter",
        [`--net=/run/netns/${node}`, "--", `/usr/lib/cni/${program}`],
        {
          env,
          input: options.stdin,
          encoding: "utf8",
        },
      );
      return { exitCode: status ?? 1, stdout, stderr };
    },
    files: {
      read: (_, name) => readFileSync(path(name), "utf8"),
      write(_, name, contents) {
        mkdirSync(dirname(path(name)), { recursive: true });
        writeFileSync(path(name), contents);
      },
      remove: (_, name) => rmSync(path(name), { force: true }),
      list: (_, name) => (existsSync(path(name)) ? readdirSync(path(name)).sort() : []),
    },
    settings: () => ({ bridge: "capstan0", podCIDR, cniDir: directory, mtu: 0, ipMasq: false }),
  };
}

describe("pods are connected by the CNI programs", { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), "capstan-cni-"));
  const host = hostIn(directory, "10.79.0.0/29");
  const hooks = createHooks(host);
  const pods: string[] = [];

  const attachment = (index: number, pod: object = {}): Attachment => ({
    containerId: `c${id}${index}`,
    netns: `/run/netns/captest-${id}-pod${index}`,
    interfaceName: "eth0",
    pod: JSON.stringify({
      tenant: "root",
      namespace: "default",
      name: `pod${index}`,
      uid: "u",
      annotations: {},
      portMappings: [],
      ...pod,
    }),
  });
  const namespace = (index: number) => {
    const name = `captest-${id}-pod${index}`;
    assert.equal(ip("netns", "add", name).status, 0);
    pods.push(name);
    return name;
  };
  const addressOf = (result: object) => (result as { ips: { address: string }[] }).ips[0]?.address;
  const taken = () => host.files.list("state", "ipam/capstan").filter((name) => /^\d/.test(name));

  before(() => {
    assert.equal(ip("netns", "add", node).status, 0);
    ip("-n", node, "link", "set", "lo", "up");
  });
  after(() => {
    for (const name of [...pods, node]) ip("netns", "delete", name);
    rmSync(directory, { recursive: true, force: true });
  });

  test("the programs are ready", () => hooks.status());

  test("add gives a pod an interface, an address of the range and a way to its gateway; check agrees; del takes all back", () => {
    const name = namespace(0);
    const result = hooks.add(attachment(0));
    assert.match(addressOf(result) ?? "", /^10\.79\.0\.\d\/29$/);
    assert.match(ip("-n", name, "-4", "addr", "show", "eth0").stdout, /10\.79\.0\./);
    assert.match(ip("-n", name, "link", "show", "lo").stdout, /[<,]UP[,>]/);
    assert.match(ip("-n", name, "route").stdout, /default via 10\.79\.0\.1/);
    hooks.check(attachment(0));
    hooks.del(attachment(0));
    assert.deepEqual(taken(), []);
    assert.deepEqual(host.files.list("state", "results"), []);
    assert.notEqual(ip("-n", name, "link", "show", "eth0").status, 0);
  });

  test("deleting again, and deleting a pod whose namespace is gone, succeeds", () => {
    hooks.del(attachment(0));
    const name = namespace(1);
    hooks.add(attachment(1));
    ip("netns", "delete", name);
    hooks.del({ ...attachment(1), netns: "" });
    assert.deepEqual(taken(), []);
  });

  test("a host port leads to the pod and is closed with it", () => {
    namespace(2);
    const pod = attachment(2, { portMappings: [{ hostPort: 18080, containerPort: 80, protocol: "tcp" }] });
    hooks.add(pod);
    const rules = () =>
      spawnSync("nsenter", [`--net=/run/netns/${node}`, "iptables-save", "-t", "nat"], { encoding: "utf8" }).stdout;
    assert.match(rules(), /--dport 18080 -j DNAT --to-destination 10\.79\.0\.\d:80/);
    hooks.check(pod);
    // The namespace's name and annotations are not known any more at the end: what was kept has to do.
    createHooks(hostIn(directory, "10.79.0.0/29")).del(attachment(2));
    assert.doesNotMatch(rules(), /18080/);
  });

  test("gc frees what belongs to nobody, after a restart too, and leaves the rest", () => {
    for (const index of [3, 4]) {
      namespace(index);
      hooks.add(attachment(index));
    }
    assert.equal(taken().length, 2);
    // A result that a crash has lost: the address alone tells.
    host.files.remove("state", `results/${attachment(4).containerId}@eth0.json`);
    createHooks(hostIn(directory, "10.79.0.0/29")).gc([[attachment(3).containerId, "eth0"]]);
    assert.equal(taken().length, 1);
    hooks.check(attachment(3));
  });

  test("a full range says so", () => {
    const added: number[] = [];
    assert.throws(
      () => {
        for (let index = 10; index < 20; index++) {
          namespace(index);
          added.push(index);
          hooks.add(attachment(index));
        }
      },
      (error: unknown) =>
        error instanceof PluginFailure &&
        /no address is left in this node's pod range 10\.79\.0\.0\/29/.test(error.message),
    );
    for (const index of added) hooks.del(attachment(index));
    assert.equal(taken().length, 1);
  });
});

test("a missing program is named with the package that brings it", () => {
  const hooks = createHooks({
    ...hostIn("/nonexistent", "10.79.0.0/29"),
    run() {
      throw new PluginFailure("NotFound", "no such file");
    },
  });
  assert.throws(
    () => hooks.status(),
    /\/usr\/lib\/cni\/bridge could not be run .*apt-get install containernetworking-plugins/,
  );
});

test("a check of a pod that was never connected says that", () => {
  const hooks = createHooks(hostIn("/nonexistent", "10.79.0.0/29"));
  assert.throws(
    () => hooks.check({ containerId: "x", netns: "/run/netns/x", interfaceName: "eth0", pod: "{}" }),
    (error: unknown) => error instanceof PluginFailure && error.reason === "NotFound",
  );
});
