import assert from "node:assert/strict";
import { test } from "node:test";
import { capabilitiesDigest, revisionSpec, runnable, tenantError } from "#sdk/plugin/approval.ts";
import { type Plugin, type PluginHostStatus, pluginSpecSchema } from "#sdk/plugin/manifest.ts";
import { findings } from "./reconcile.ts";

const exec = { name: "exec" as const, reason: "runs ip", programs: { ip: "ip" } };
const http = { name: "http" as const, reason: "asks", origins: ["https://a.example"] };

const pluginOf = (spec: Partial<Plugin["spec"]>, status: Plugin["status"] = {}): Plugin => ({
  apiVersion: "capstan.dev/v1",
  kind: "Plugin",
  metadata: { name: "p", generation: 1 },
  spec: { version: "1.0.0", witVersion: "v1", worlds: ["controller"], digest: `sha256:${"0".repeat(64)}`, ...spec },
  status,
});
const hostIn = (state: string, reason = "") => ({ state, reason }) as PluginHostStatus;
const condition = (plugin: Plugin, type: string) => findings(plugin, 0).conditions.find((c) => c.type === type);

test("what is asked for is named with the command that approves it, and nothing asked needs nobody", () => {
  const waiting = condition(pluginOf({ capabilities: [exec] }), "Approved");
  assert.equal(waiting?.reason, "ApprovalPending");
  assert.match(waiting?.message ?? "", /asks for exec \(ip\); to approve it: kubectl patch plugin p .*sha256:/);
  const approved = [capabilitiesDigest([exec])];
  assert.equal(condition(pluginOf({ capabilities: [exec], approved }), "Approved")?.status, "True");
  assert.equal(condition(pluginOf({}), "Approved")?.reason, "NothingAsked");
});

test("the reason of a grant is no part of what is approved; its names are", () => {
  assert.equal(capabilitiesDigest([exec, http]), capabilitiesDigest([http, { ...exec, reason: "otherwise" }]));
  assert.notEqual(capabilitiesDigest([exec]), capabilitiesDigest([{ ...exec, programs: { ip: "/bin/sh" } }]));
});

test("a version that asks for more waits, and the one before it goes on, also for a process that starts now", () => {
  const approved = [capabilitiesDigest([exec])];
  const first = pluginOf({ capabilities: [exec], approved });
  const { revisions } = findings(first, 0);
  const second = pluginOf({ version: "2.0.0", capabilities: [exec, http], approved }, { revisions });
  assert.deepEqual(findings(second, 0).revisions, revisions, "it is no revision before it is approved");
  const { asked, spec } = runnable(second);
  assert.deepEqual([asked.version, spec?.version], ["2.0.0", "1.0.0"]);
  const both = [...approved, capabilitiesDigest([exec, http])];
  const agreed = pluginOf({ ...second.spec, approved: both }, { revisions });
  assert.equal(runnable(agreed).spec?.version, "2.0.0");
  assert.deepEqual(
    findings(agreed, 0).revisions.map((r) => [r.revision, r.spec.version]),
    [
      [2, "2.0.0"],
      [1, "1.0.0"],
    ],
  );
});

test("what a revision was granted does not count once it is approved no more", () => {
  const approved = [capabilitiesDigest([exec])];
  const { revisions } = findings(pluginOf({ capabilities: [exec], approved }), 0);
  assert.equal(runnable(pluginOf({ capabilities: [http], approved: [] }, { revisions })).spec, undefined);
});

test("a rollback takes a kept version, and says which there are", () => {
  const { revisions } = findings(pluginOf({}), 0);
  const later = pluginOf({ version: "2.0.0", enabled: false }, { revisions });
  assert.deepEqual([revisionSpec(later, 1).version, revisionSpec(later, 1).enabled], ["1.0.0", false]);
  assert.throws(() => revisionSpec(later, 7), /there are: 1/);
});

test("readiness is the worst of what its processes say", () => {
  const hosts = { "apiserver/a": hostIn("serving"), "apiserver/b": hostIn("quarantined", "after 12 stops") };
  const ready = condition(pluginOf({}, { hosts }), "Ready");
  assert.deepEqual([ready?.reason, ready?.message], ["Quarantined", "apiserver/b: after 12 stops"]);
  assert.equal(condition(pluginOf({ enabled: false }, { hosts }), "Ready")?.reason, "Disabled");
  assert.equal(condition(pluginOf({}, { hosts: { a: hostIn("serving") } }), "Ready")?.status, "True");
  assert.equal(condition(pluginOf({}), "Ready")?.status, "Unknown");
  const disabled = { a: hostIn("absent", "disabled (spec.enabled is false)") };
  assert.equal(condition(pluginOf({}, { hosts: disabled }), "Ready")?.reason, "Starting", "it was enabled just now");
});

test("a tenant's plugins get nothing of the node's", () => {
  const spec = (change: object) => pluginSpecSchema.parse({ ...pluginOf({}).spec, ...change });
  assert.equal(tenantError(spec({ capabilities: [http] })), undefined);
  assert.match(tenantError(spec({ capabilities: [exec] })) ?? "", /exec is root's alone/);
  assert.match(tenantError(spec({ worlds: ["runtime"] })) ?? "", /runtime is root's alone/);
});
