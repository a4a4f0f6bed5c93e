import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { isOnThisMachine, send } from "./respond.ts";

test("a client on this machine is told by its address", () => {
  const localAddress = "192.0.2.1";
  for (const remoteAddress of ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", "192.0.2.1"])
    assert.equal(isOnThisMachine({ remoteAddress, localAddress }), true, remoteAddress);
  assert.equal(isOnThisMachine({ localAddress }), false);
  for (const remoteAddress of ["192.0.2.2", "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"])
    assert.equal(isOnThisMachine({ remoteAddress, localAddress }), false, remoteAddress);
});

test("what is large is compressed for who takes that, and reads as it was", async (t) => {
  const large = JSON.stringify({ text: "x".repeat(200_000) });
  const server = createServer((request, response) => {
    const acceptGzip = request.url === "/gzip";
    void send(response, large, { code: 200, encoding: "json", acceptGzip, warnings: [], requestId: "one" });
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const asked = async (path: string) => {
    const [response] = (await once(get({ port, path, agent: false }), "response")) as [IncomingMessage];
    const body = Buffer.concat(await response.toArray());
    assert.equal(Number(response.headers["content-length"]), body.length);
    return { encoding: response.headers["content-encoding"], body };
  };
  const zipped = await asked("/gzip");
  assert.equal(zipped.encoding, "gzip");
  assert.equal(gunzipSync(zipped.body).toString(), `${large}\n`);
  const plain = await asked("/plain");
  assert.equal(plain.encoding, undefined);
  assert.equal(plain.body.toString(), `${large}\n`);
});
