import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { it } from "node:test";
import type { NodeContext } from "../context.ts";
import { createNodeAuth, subresourcesOf } from "./auth.ts";
import { HttpError } from "./request.ts";

/** An API server that knows one token, whose user may read metrics. */
function world() {
  let now = 0;
  const asked: string[] = [];
  const client = {
    async create(resource: { resource: string }, review: { spec: Record<string, unknown> }) {
      asked.push(resource.resource);
      if (resource.resource === "tokenreviews")
        return {
          status:
            review.spec["token"] === "good" ? { authenticated: true, user: { username: "reader", groups: ["g"] } } : {},
        };
      const attributes = review.spec["resourceAttributes"] as { subresource: string; verb: string };
      return { status: { allowed: attributes.subresource === "metrics" && attributes.verb === "get" } };
    },
  };
  const context = { client, settings: { name: "n1" }, clock: { now: () => now } } as unknown as NodeContext;
  const request = (token: string | undefined, url: string, method = "GET") =>
    ({
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      url,
      method,
      socket: {},
    }) as IncomingMessage;
  return { asked, auth: createNodeAuth(context), request, later: (ms: number) => (now += ms) };
}
const code = (wanted: number) => (error: unknown) => error instanceof HttpError && error.code === wanted;

it("who has no credentials, or some that nobody knows, is refused", async () => {
  const { auth, request } = world();
  await assert.rejects(auth.authorize(request(undefined, "/pods")), code(401));
  await assert.rejects(auth.authorize(request("bad", "/pods")), code(401));
});

it("a request is a verb on a subresource of the node, and the answer is kept for a while", async () => {
  const { auth, request, asked, later } = world();
  await auth.authorize(request("good", "/metrics/cadvisor"));
  await auth.authorize(request("good", "/metrics/resource"));
  assert.deepEqual(asked, ["tokenreviews", "subjectaccessreviews"]);
  await assert.rejects(auth.authorize(request("good", "/metrics", "POST")), code(403));
  await assert.rejects(auth.authorize(request("good", "/exec/ns/pod/main")), (error: Error) => {
    assert.equal(error.message, "Forbidden (user=reader, verb=get, resource=nodes, subresource(s)=[proxy])");
    return true;
  });
  const before = asked.length;
  later(301_000);
  await auth.authorize(request("good", "/metrics/cadvisor"));
  assert.equal(asked.length, before + 2);
});

it("pods, healthz and configz may be allowed without all else", () => {
  assert.deepEqual(subresourcesOf("/pods"), ["pods", "proxy"]);
  assert.deepEqual(subresourcesOf("/stats/summary"), ["stats"]);
  assert.deepEqual(subresourcesOf("/logs/x"), ["log"]);
  assert.deepEqual(subresourcesOf("/podsfoo"), ["proxy"]);
});
