import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Log } from "#platform/base/log.ts";
import type { AnyRequest } from "../http/body.ts";
import { parseRequest } from "../http/requestInfo.ts";
import { Audit, type AuditEvent } from "./audit.ts";
import { decide, parsePolicy } from "./policy.ts";
import { fileSink } from "./sinks.ts";

const POLICY = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:loop"]
- level: Metadata
  resources: [{group: "", resources: [secrets, "pods/*"]}]
- level: RequestResponse
  omitManagedFields: true
  verbs: [create]
  namespaces: [a]
- level: Request
  nonResourceURLs: ["/api*"]
`;
const policy = parsePolicy(POLICY);
const user = (name: string) => ({ tenant: 1, name, groups: ["system:authenticated"] });
const info = (method: string, path: string) => parseRequest(method, path, new URLSearchParams());
const level = (name: string, method: string, path: string) => decide(policy, user(name), info(method, path)).level;

test("the first rule that fits decides", () => {
  assert.equal(level("system:loop", "GET", "/api/v1/secrets"), "None");
  assert.equal(level("jane", "GET", "/api/v1/secrets"), "Metadata");
  assert.equal(level("jane", "GET", "/api/v1/namespaces/a/pods/p/log"), "Metadata");
  assert.equal(level("jane", "POST", "/api/v1/namespaces/a/configmaps"), "RequestResponse");
  assert.equal(level("jane", "POST", "/api/v1/namespaces/b/configmaps"), "None");
  assert.equal(level("jane", "GET", "/api"), "Request");
  assert.equal(level("jane", "GET", "/version"), "None");
});

test("a policy that cannot be meant is refused", () => {
  assert.throws(() => parsePolicy(POLICY.replace("Metadata", "Everything")), /audit policy: rules\.1\.level/);
});

test("an event carries what its level asks for, in the stages that are not left out", () => {
  const events: AuditEvent[] = [];
  const sink = { write: (event: AuditEvent) => void events.push(event), close: async () => undefined };
  const audit = new Audit(policy, [sink], { now: () => 0 });
  const path = "/api/v1/namespaces/a/configmaps";
  const request = { url: path, headers: {}, socket: { remoteAddress: "192.0.2.1" } } as unknown as AnyRequest;
  const record = audit.begin({ id: "1", request, info: info("POST", path), user: user("jane"), received: 0 });
  record?.requested(Buffer.from('{"kind":"ConfigMap","metadata":{"managedFields":[]}}'));
  record?.answered('{"kind":"Status","status":"Failure","message":"no","reason":"Invalid"}');
  record?.stage("ResponseComplete", 422);
  assert.equal(events.length, 1);
  const [event] = events;
  assert.equal(event?.["stage"], "ResponseComplete");
  assert.deepEqual(event?.["requestObject"], { kind: "ConfigMap", metadata: {} });
  const told = { metadata: {}, status: "Failure", message: "no", reason: "Invalid", code: 422 };
  assert.deepEqual(event?.["responseStatus"], told);
  assert.deepEqual(event?.["objectRef"], { resource: "configmaps", namespace: "a", apiVersion: "v1" });
});

test("files are bounded: the full one makes room", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "audit-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const sink = fileSink(join(dir, "audit.jsonl"), {} as Log, 50);
  for (let i = 0; i < 5; i++) sink.write({ number: i, filler: "x".repeat(20) });
  await sink.close();
  assert.deepEqual(readdirSync(dir).sort(), ["audit.jsonl", ...[1, 2, 3, 4].map((i) => `audit.jsonl.${i}`)]);
  assert.match(readFileSync(join(dir, "audit.jsonl"), "utf8"), /"number":4/);
});
