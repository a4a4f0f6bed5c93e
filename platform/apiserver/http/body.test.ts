import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientRequest, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { StatusError } from "#sdk/api/status.ts";
import { readBody } from "./body.ts";

/** What a server makes of one request that is sent in chunks. */
async function served(
  t: TestContext,
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<ClientRequest> {
  const server = createServer((incoming, response) => void handle(incoming, response)).listen(0, "127.0.0.1");
  t.after(() => server.close().closeAllConnections());
  await once(server, "listening");
  const sent = request({ port: (server.address() as AddressInfo).port, method: "POST" });
  sent.on("error", () => undefined);
  return sent;
}

test("a body is read to its end", async (t) => {
  const read = Promise.withResolvers<string>();
  const sent = await served(t, async (incoming, response) => {
    read.resolve((await readBody(incoming)).toString());
    response.end();
  });
  sent.write("one ");
  sent.end("two");
  assert.equal(await read.promise, "one two");
});

test("a body that is too large is refused, and who sent a little too much is told", async (t) => {
  const sent = await served(t, async (incoming, response) => {
    const error: unknown = await readBody(incoming, 10).catch((e: unknown) => e);
    response.statusCode = error instanceof StatusError ? error.code : 500;
    response.end();
  });
  sent.write("0123456789");
  sent.end("more");
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  assert.equal(answer.statusCode, 413);
  answer.resume();
});

test("a request whose client is gone is not waited for, whether it went before or while it was read", async (t) => {
  for (const goesFirst of [true, false]) {
    const outcome = Promise.withResolvers<unknown>();
    const arrived = Promise.withResolvers<void>();
    const sent = await served(t, async (incoming) => {
      arrived.resolve();
      if (goesFirst) await new Promise((closed) => incoming.once("close", closed));
      outcome.resolve(await readBody(incoming).catch((error: unknown) => error));
    });
    sent.write("half");
    await arrived.promise;
    sent.destroy();
    assert.ok((await outcome.promise) instanceof Error);
  }
});
