/** Admission components that trap, loop, eat memory and answer nonsense: stopped, reported, and nobody else is harmed. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { paths } from "#platform/main/config.ts";
import { readIdentity } from "#platform/main/processes.ts";
import type { KubeList } from "#sdk/api/object.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import type { EngineName } from "#sdk/engine/port.ts";
import { type BuiltPlugin, buildPlugin } from "#sdk/plugin/build.ts";
import type { Plugin, PluginHostStatus } from "#sdk/plugin/manifest.ts";
import { eventually, type Instance, skipWithoutKubectl, startInstance } from "../support/instance.ts";
import { type RawApi, rawApi } from "../support/raw-api.ts";

const POLICIES = ["Fail", "Ignore"] as const;
type Policy = (typeof POLICIES)[number];

/** What is wrong with each, in the words of the refusal; `kind` is how the plugin's status counts it. */
const FAILURES: Record<string, { says: RegExp; kind: string }> = {
  trap: { says: /plugin trap-fail, hook mutate: wasm trap: wasm `unreachable` instruction executed/, kind: "trap" },
  loop: { says: /plugin loop-fail, hook mutate: it was stopped at its deadline of 500 ms/, kind: "deadline" },
  memory: { says: /plugin memory-fail, hook mutate: it was stopped at its memory cap of 32 MiB/, kind: "memory" },
  garbage: { says: /hook mutate: its answer cannot be used: it is no JSON/, kind: "invalid" },
  "no-list": { says: /its answer cannot be used: its patch is no list of operations/, kind: "invalid" },
  misfit: {
    says: /its answer cannot be used: there is nothing at the parent of \/spec\/nothing\/here/,
    kind: "invalid",
  },
  mistyped: {
    says: /its answer cannot be used: ConfigMap in version "v1" cannot be handled as a ConfigMap/,
    kind: "invalid",
  },
  huge: { says: /its answer cannot be used: a patch of \d+ characters, of at most 3145728/, kind: "invalid" },
};
/** Of these no answer has to be thrown away: what they say is held to what a plugin may say. */
const OTHERS = ["elsewhere", "chatty", "verbose"] as const;

/** A deadline of 500 ms may be paid once for the call; the rest is for a slow machine. */
const ANSWER_MS_MAX = 10_000;
const MiB = 2 ** 20;

const nameOf = (behaviour: string, policy: Policy) => `${behaviour}-${policy.toLowerCase()}`;

for (const engine of ["wasmtime", "jco"] as const) {
  const skip =
    skipWithoutKubectl || (engine === "wasmtime" && !addonReady() && "the wasmtime addon is not built (cargo)");
  describe(`hostile admission components on ${engine}`, { skip }, () => hostile(engine));
}

function hostile(engine: EngineName): void {
  // A worker a plugin is dear on jco, and what an answer is held to is not the engine's.
  const behaviours = engine === "jco" ? ["trap", "loop", "memory", "huge"] : Object.keys(FAILURES);
  const others = engine === "jco" ? [] : OTHERS;
  const installed = [
    ...behaviours.flatMap((behaviour) => POLICIES.map((policy) => ({ behaviour, policy }))),
    ...others.map((behaviour) => ({ behaviour, policy: "Fail" as const })),
  ];
  let capstan: Instance;
  let api: RawApi;
  let built: BuiltPlugin;

  before(async () => {
    capstan = await startInstance({ nodes: 0, args: ["--engine", engine] });
    api = rawApi(capstan.kubeconfig);
    const scratch = mkdtempSync(join(tmpdir(), "capstan-hostile-"));
    try {
      built = await buildPlugin(join(import.meta.dirname, "hostile"), scratch);
      copyFileSync(built.path, join(paths(capstan.dataDir).components, basename(built.path)));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
    await create("/api/v1/namespaces", { metadata: { name: "quiet" } });
    const names = installed.map(({ behaviour, policy }) => nameOf(behaviour, policy));
    for (const name of names) await create("/api/v1/namespaces", { metadata: { name } });
    // What the platform itself writes there is written before anybody is in its way.
    for (const name of names)
      await eventually(`the root certificate in ${name}`, async () => {
        const { code } = await api.send("GET", `/api/v1/namespaces/${name}/configmaps/kube-root-ca.crt`);
        return code === 200;
      });
    for (const { behaviour, policy } of installed) await install(nameOf(behaviour, policy), behaviour, policy);
    await eventually("all hostile plugins to serve", async () => {
      const statuses = await Promise.all(installed.map((i) => statusOf(nameOf(i.behaviour, i.policy))));
      return statuses.every((status) => status?.state === "serving");
    });
  });

  after(async () => {
    api?.close();
    await capstan?.remove();
  });

  async function create(path: string, object: object): Promise<void> {
    const { code, text } = await api.send("POST", path, JSON.stringify(object));
    assert.equal(code, 201, text);
  }

  async function install(name: string, behaviour: string, policy: Policy, match: object = {}): Promise<void> {
    const { name: _, ...spec } = built.manifest;
    // What ends by itself may take a slow machine longer than an endless loop is given.
    const limits = { ...spec.limits, ...(behaviour === "loop" ? {} : { deadlineMs: ANSWER_MS_MAX - 2000 }) };
    const rules = spec.match.map((rule) => ({ ...rule, namespaces: [name], ...match }));
    await create("/apis/capstan.dev/v1/plugins", {
      metadata: { name },
      spec: { ...spec, limits, match: rules, failurePolicy: policy, config: { behaviour }, digest: built.digest },
    });
  }

  /** Of the one API server. */
  async function statusOf(name: string): Promise<PluginHostStatus | undefined> {
    const { text } = await api.send("GET", `/apis/capstan.dev/v1/plugins/${name}`);
    return Object.values((JSON.parse(text) as Plugin).status?.hosts ?? {})[0];
  }

  const configMap = (name: string) => ({ metadata: { name }, data: { of: "mine" } });
  const write = (namespace: string, name = "written") =>
    api.send("POST", `/api/v1/namespaces/${namespace}/configmaps`, JSON.stringify(configMap(name)));
  const apiserver = () => readIdentity(paths(capstan.dataDir).run, "apiserver")?.pid;
  const residentBytes = () => {
    const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${apiserver()}/status`, "utf8"))?.[1];
    return Number(kib) * 1024;
  };

  async function inTime<T>(what: string, work: Promise<T>): Promise<T> {
    const started = performance.now();
    const value = await work;
    const took = performance.now() - started;
    assert.ok(took < ANSWER_MS_MAX, `${what} took ${Math.round(took)} ms`);
    return value;
  }

  it("are answered for in time: refused with the plugin, hook and limit for Fail, admitted for Ignore", async () => {
    for (const behaviour of behaviours) {
      const failing = nameOf(behaviour, "Fail");
      const refused = await inTime(failing, write(failing));
      assert.equal(refused.code, 500, `${failing}: ${refused.text}`);
      assert.equal(refused.status.reason, "InternalError");
      assert.match(refused.status.message ?? "", new RegExp(`admission by plugin "${failing}" failed: `));
      assert.match(refused.status.message ?? "", FAILURES[behaviour]?.says ?? /never/);
      const ignored = nameOf(behaviour, "Ignore");
      const admitted = await inTime(ignored, write(ignored));
      assert.equal(admitted.code, 201, `${ignored}: ${admitted.text}`);
      assert.deepEqual((JSON.parse(admitted.text) as { data?: object }).data, { of: "mine" });
    }
  });

  it("say in their status what happened, and kubectl shows it", async () => {
    for (const behaviour of behaviours)
      for (const policy of POLICIES) {
        const name = nameOf(behaviour, policy);
        const { kind } = FAILURES[behaviour] ?? { kind: "" };
        const status = await eventually(`${name} to report`, async () => {
          const seen = await statusOf(name);
          return (seen?.errorsByKind[kind] ?? 0) >= 1 ? seen : undefined;
        });
        assert.match(
          status.reason,
          kind === "invalid" ? /^refused in mutate: / : new RegExp(`stopped in mutate \\(${kind}\\)`),
        );
        assert.equal(status.restarts, kind === "invalid" ? 0 : 1, name);
      }
    const table = await capstan.kubectl("get", "plugins");
    assert.match(table, /^loop-fail +admission +\S+ +\S+ +1 +1 /m);
  });

  if (others.length > 0)
    it("cannot move an object, nor say more than a plugin may", async () => {
      const moved = await write("elsewhere-fail");
      assert.equal(moved.code, 400, moved.text);
      assert.match(moved.status.message ?? "", /namespace .* does not match the namespace sent on the request/);
      const { text } = await api.send("GET", "/api/v1/namespaces/kube-system/configmaps/written");
      assert.equal((JSON.parse(text) as { code: number }).code, 404);
      const warned = await write("chatty-fail");
      assert.equal(warned.code, 201, warned.text);
      assert.ok(
        warned.warning.includes("0 www") && warned.warning.length < 8192,
        `${warned.warning.length} characters`,
      );
      const denied = await write("verbose-fail");
      assert.equal(denied.code, 403, denied.text.slice(0, 500));
      assert.ok(denied.text.length < 20_000, `${denied.text.length} characters`);
    });

  it("harm nobody else while they are called again and again", async () => {
    const pid = apiserver();
    const before = residentBytes();
    const attacked = installed.filter(({ policy }) => policy === "Fail").map((i) => nameOf(i.behaviour, i.policy));
    for (let round = 0; round < 5; round++) {
      const attacks = attacked.map((name) => write(name, `again-${round}`));
      const creates = Array.from({ length: 10 }, (_, i) => inTime("a create", write("quiet", `c-${round}-${i}`)));
      for (const { code, text } of await Promise.all(creates)) assert.equal(code, 201, text);
      await inTime("the attacks", Promise.all(attacks));
    }
    const { text } = await api.send("GET", "/api/v1/namespaces/quiet/configmaps");
    const names = (JSON.parse(text) as KubeList<Plugin>).items.map(({ metadata }) => metadata.name ?? "");
    assert.equal(names.filter((name) => name.startsWith("c-")).length, 50);
    const healthy = await statusOf("limit-ranger");
    assert.equal(healthy?.state, "serving");
    assert.equal(apiserver(), pid, "the API server was not restarted");
    const grown = (residentBytes() - before) / MiB;
    // Caps of 32 MiB, and on jco a worker for each: what was stopped was given back.
    assert.ok(grown < 512, `the API server grew by ${Math.round(grown)} MiB`);
  });

  it("can be turned off even when one refuses everything", async () => {
    await create("/api/v1/namespaces", { metadata: { name: "stray" } });
    const everything = { groups: ["*"], resources: ["*"], operations: ["CREATE", "UPDATE", "DELETE"] };
    await install("everything", "trap", "Fail", { ...everything, namespaces: undefined });
    await eventually("a write to be refused", async () => (await write("stray")).code === 500);
    await capstan.kubectl("patch", "plugin", "everything", "--type=merge", "-p", '{"spec":{"enabled":false}}');
    await eventually("a write to be admitted", async () => (await write("stray", "free")).code === 201);
    await capstan.kubectl("delete", "plugin", "everything");
  });
}
