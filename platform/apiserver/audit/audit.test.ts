import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Log, silentLog } from "#platform/base/log.ts";
import type { AnyRequest } from "../http/body.ts";
import { parseRequest } from "../http/requestInfo.ts";
import { Audit, type AuditEvent } from "./audit.ts";
import { decide, parsePolicy } from "./policy.ts";
import { fileSink, webhookSink } from "./sinks.ts";

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
  const sink = {
    name: "log",
    lost: 0,
    write: (event: AuditEvent) => void events.push(event),
    close: async () => undefined,
  };
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

test("a refusal is told, and a new object named, at the level Metadata too; sources are those that proxies tell and the connection", () => {
  const events: AuditEvent[] = [];
  const sink = {
    name: "log",
    lost: 0,
    write: (event: AuditEvent) => void events.push(event),
    close: async () => undefined,
  };
  const audit = new Audit(policy, [sink], { now: () => 0 });
  const path = "/api/v1/namespaces/a/secrets";
  const headers = { "x-forwarded-for": "198.51.100.7, nonsense", "x-real-ip": "198.51.100.8" };
  const request = { url: path, headers, socket: { remoteAddress: "::ffff:192.0.2.1" } } as unknown as AnyRequest;
  const record = audit.begin({ id: "1", request, info: info("POST", path), user: user("jane"), received: 0 });
  record?.requested(Buffer.from('{"kind":"Secret","metadata":{"name":"s"},"data":{"a":"c2VjcmV0"}}'));
  record?.failed({ kind: "Status", status: "Failure", message: "no", reason: "Forbidden", code: 403 });
  record?.stage("ResponseComplete", 403);
  const [event] = events;
  assert.deepEqual(event?.["responseStatus"], {
    metadata: {},
    status: "Failure",
    message: "no",
    reason: "Forbidden",
    code: 403,
  });
  assert.deepEqual(event?.["objectRef"], { name: "s", resource: "secrets", namespace: "a", apiVersion: "v1" });
  assert.deepEqual(event?.["sourceIPs"], ["198.51.100.7", "198.51.100.8", "192.0.2.1"]);
  assert.equal(event?.["requestObject"], undefined);
  assert.ok(!JSON.stringify(event).includes("c2VjcmV0"));
  assert.deepEqual(
    [...audit.metrics()],
    [
      ["apiserver_audit_event_total", 1],
      ['apiserver_audit_error_total{plugin="log"}', 0],
    ],
  );
});

test("the webhook gets batches, again after a failure; what is too much is lost and counted", async (t) => {
  const batches: number[] = [];
  let failures = 1;
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
    request.on("end", () => {
      if (failures-- > 0) response.statusCode = 503;
      else batches.push((JSON.parse(text) as { items: unknown[] }).items.length);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const options = { batchEvents: 4, batchMs: 60_000, waitingEvents: 6, attempts: 2, backoffMs: 1 };
  const sink = webhookSink({ url }, silentLog, options);
  for (let i = 0; i < 9; i++) sink.write({ number: i });
  await sink.close();
  assert.deepEqual(batches, [4, 2]);
  assert.equal(sink.lost, 3);
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
