import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { StatusError } from "#sdk/api/status.ts";
import type { UserConnection } from "../port.ts";
import { followLog, type LogRequest } from "./follow.ts";

function requestOf(code: number, body: string, more: Partial<LogRequest> = {}) {
  const paths: string[] = [];
  const connection = {
    headers: { authorization: "Bearer t" },
    transport: {
      send: (headers: Record<string, string>) => {
        paths.push(headers[":path"] ?? "");
        return Promise.resolve({ code, headers: {}, stream: Readable.from([Buffer.from(body)]) });
      },
    },
  } as unknown as UserConnection;
  const request: LogRequest = {
    connection,
    tenant: "",
    namespace: "default",
    pod: "p",
    container: "c",
    previous: false,
    tailLines: 10,
    after: undefined,
    signal: new AbortController().signal,
    ...more,
  };
  return { request, paths };
}

async function read(request: LogRequest) {
  const texts: string[] = [];
  let lastId = "";
  for await (const [id, message] of followLog(request)) {
    lastId = id;
    if (message.type === "lines") texts.push(...message.lines.map((line) => line.text));
    else texts.push("(ended)");
  }
  return { texts, lastId };
}

const LOG = [
  "2026-01-01T00:00:01.1Z a",
  "2026-01-01T00:00:01.15Z b",
  "2026-01-01T00:00:01.15Z c",
  "2026-01-01T00:00:02Z d d",
].join("\n");

test("lines come without their times, spaces kept, and the end is told", async () => {
  const { request, paths } = requestOf(200, `${LOG}\n`, { tenant: "acme" });
  assert.deepEqual((await read(request)).texts, ["a", "b", "c", "d d", "(ended)"]);
  assert.match(paths[0] ?? "", /^\/tenants\/acme\/api\/v1\/namespaces\/default\/pods\/p\/log\?/);
  assert.match(paths[0] ?? "", /follow=true/);
});

test("a connection that was lost between two lines of one instant goes on after the first of them", async () => {
  const first = requestOf(200, `${LOG.split("\n").slice(0, 2).join("\n")}\n`);
  const { lastId } = await read(first.request);
  assert.equal(lastId, "2026-01-01T00:00:01.15Z#1");
  const second = requestOf(200, `${LOG}\n`, { after: lastId });
  assert.deepEqual((await read(second.request)).texts, ["c", "d d", "(ended)"]);
  assert.match(second.paths[0] ?? "", /sinceTime=2026-01-01T00%3A00%3A01Z/);
});

test("what the API server refuses is told in its words", async () => {
  const status = {
    kind: "Status",
    status: "Failure",
    code: 400,
    reason: "BadRequest",
    message: "container is waiting to start",
  };
  const { request } = requestOf(400, JSON.stringify(status));
  await assert.rejects(read(request), (error) => error instanceof StatusError && error.message === status.message);
});
