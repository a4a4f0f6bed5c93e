import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { baseConfiguration, type CollectorSettings, podConfiguration, TOPIC } from "./configuration.ts";
import { createHooks, type Host } from "./reconcile.ts";

const settings: CollectorSettings = {
  brokers: ["k1:9092"],
  directory: "/t",
  podLogs: "/nodes/*/pods-logs",
  state: "/s",
};
const pod = (topic?: string) => ({
  metadata: { name: "web", namespace: "default", uid: "u1", ...(topic ? { annotations: { [TOPIC]: topic } } : {}) },
});

/** A host whose collector runs until it is killed, and refuses configurations that name a topic "bad". */
function fakeHost() {
  const kept = new Map<string, string>();
  const ran: string[] = [];
  let present: ReturnType<typeof pod> | undefined;
  const host: Host = {
    api: { find: () => present as never },
    files: {
      read: (_, path) => kept.get(path),
      write: (_, path, contents) => void kept.set(path, contents),
      remove: (_, path) => void kept.delete(path),
    },
    run(program, args) {
      ran.push([program, ...args].join(" "));
      const bad = args[0] === "-N1" && [...kept.values()].some((text) => text.includes(".bad"));
      if (program === "rsyslogd" && args.includes("-i")) kept.set("collector.pid", "42\n");
      return { exitCode: bad ? 1 : 0, stdout: "", stderr: bad ? "line 1: bad" : "" };
    },
    settings: () => settings,
  };
  const hooks = createHooks(host);
  const reconcile = (object: typeof present) => {
    present = object;
    ran.length = 0;
    return hooks.reconcile({ tenant: "acme", namespace: "default", name: "web" });
  };
  return { kept, ran, reconcile };
}
const FILE = "pods/acme_default_web.conf";

test("a pod that asks for it is collected under its tenant's topic, once, and no more when it is gone", () => {
  const { kept, ran, reconcile } = fakeHost();
  assert.equal(reconcile(pod()), undefined);
  assert.deepEqual([...kept], []);
  assert.deepEqual(reconcile(pod("web")), { requeueMs: 60_000 });
  assert.match(kept.get(FILE) ?? "", /topic="acme\.web"/);
  assert.match(kept.get(FILE) ?? "", /file="\/nodes\/\*\/pods-logs\/acme_default_web_u1\/\*\/\*\.log"/);
  assert.deepEqual(ran, ["rsyslogd -N1 -f /s/collector.conf", "rsyslogd -f /s/collector.conf -i /s/collector.pid"]);
  reconcile(pod("web"));
  assert.deepEqual(ran, ["kill -0 42"], "nothing changed: the collector goes on");
  reconcile(undefined);
  assert.equal(kept.has(FILE), false);
  assert.deepEqual(ran.slice(1), ["kill 42", "rsyslogd -f /s/collector.conf -i /s/collector.pid"]);
});

test("a topic that could be more than a topic is none, and what the collector refuses is taken back", () => {
  const { kept, reconcile } = fakeHost();
  for (const topic of ['a" broker=["x', "a b", "$(x)", "x".repeat(300), "a/b"]) reconcile(pod(topic));
  assert.equal(kept.has(FILE), false);
  assert.throws(() => reconcile(pod("bad")), /refuses the configuration: line 1: bad/);
  assert.equal(kept.has(FILE), false);
});

const rsyslogd = spawnSync("rsyslogd", ["-v"]).error ? "rsyslog is not installed" : false;
test("rsyslog takes it", { skip: rsyslogd }, () => {
  const state = mkdtempSync(join(tmpdir(), "capstan-collector-"));
  try {
    const own = { ...settings, brokers: [], directory: join(state, "topics"), state };
    const file = join(state, "pods/acme_default_web.conf");
    mkdirSync(dirname(file));
    writeFileSync(file, podConfiguration("acme", pod("web"), "web", own));
    writeFileSync(join(state, "collector.conf"), baseConfiguration(own));
    const { status, stderr } = spawnSync("rsyslogd", ["-N1", "-f", join(state, "collector.conf")], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
});
