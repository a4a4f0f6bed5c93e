import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, it } from "node:test";
import { selfSigned } from "#sdk/testing/certificate.ts";
import { createWebhookClient, type WebhookClientOptions } from "./client.ts";

describe("calls to webhooks", () => {
  let server: Server;
  let caBundle: string;
  let connections = 0;
  /** Requests that are to be met by the end of their connection, from the next one on. */
  let drops = 0;
  before(async () => {
    const { cert, key } = await selfSigned("127.0.0.1");
    caBundle = Buffer.from(cert).toString("base64");
    server = createServer({ cert, key, keepAliveTimeout: 60_000 }, (request, response) => {
      request.resume().on("end", () => {
        if (drops > 0) {
          drops--;
          request.socket.destroy();
        } else response.end(JSON.stringify({ path: request.url }));
      });
    });
    server.on("secureConnection", () => connections++);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  beforeEach(() => {
    connections = 0;
    drops = 0;
  });
  const caller = (options: Partial<WebhookClientOptions> = {}) => {
    const ask = createWebhookClient({ resolve: () => Promise.reject(new Error("no services here")), ...options });
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/review`;
    return (tenant: number) => ask({ tenant, config: { url, caBundle }, body: {}, timeoutMs: 10_000 });
  };

  it("of one tenant share a connection, and no other tenant's calls take it", async () => {
    const call = caller();
    for (let i = 0; i < 3; i++) assert.deepEqual(await call(1), { path: "/review?timeout=10s" });
    assert.equal(connections, 1);
    await call(2);
    assert.equal(connections, 2);
  });

  it("are asked again, once, when a kept connection ends without an answer", async () => {
    const call = caller();
    await call(1);
    drops = 1;
    assert.deepEqual(await call(1), { path: "/review?timeout=10s" });
    assert.equal(connections, 2);
    await call(1);
    drops = 2;
    await assert.rejects(call(1), { message: /^Post "https:\/\/127\.0\.0\.1:\d+\/review\?timeout=10s": EOF$/ });
    assert.equal(drops, 0);
  });

  it("are not made twice to what ends a new connection", async () => {
    const call = caller();
    drops = 1;
    await assert.rejects(call(1), /EOF$/);
    assert.equal(connections, 1);
  });

  it("go nowhere a tenant may not dial, kept connections among them", async () => {
    let allowed = true;
    const call = caller({ mayDial: () => allowed });
    await call(1);
    allowed = false;
    await assert.rejects(call(1), /the address is not allowed$/);
    await assert.rejects(call(1), /the address is not allowed$/);
  });
});
