import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import { until } from "../testing/lab.ts";
import { createHealthServers } from "./health.ts";

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("the health check port says whether the node has endpoints, follows changes and goes with the service", async () => {
  const port = await freePort();
  const health = createHealthServers(silentLog);
  const ask = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/healthz`, { headers: { connection: "close" } });
    return [response.status, await response.json()];
  };
  const check = (localEndpoints: number) => ({ port, namespace: "default", name: "web", localEndpoints });
  const said = (localEndpoints: number) => ({
    service: { namespace: "default", name: "web" },
    localEndpoints,
    serviceProxyHealthy: true,
  });
  health.set("root/default/web", check(2));
  await until("it listens", () =>
    ask().then(
      () => true,
      () => false,
    ),
  );
  assert.deepEqual(await ask(), [200, said(2)]);
  health.set("root/default/web", check(0));
  assert.deepEqual(await ask(), [503, said(0)]);
  health.set("root/default/web", undefined);
  await assert.rejects(ask());
  health.close();
});
