import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { until } from "#sdk/testing/until.ts";
import { paceArrivals } from "./arrivals.ts";

async function listening(t: TestContext, begin: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer(begin);
  paceArrivals(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

describe("arrivals", () => {
  it("are all begun, in the order they came, and what they said before is not lost", async (t) => {
    const begun: number[] = [];
    const heard: string[] = [];
    const { server, port } = await listening(t, (socket) => {
      begun.push(socket.remotePort ?? 0);
      socket.on("data", (chunk) => heard.push(chunk.toString()));
    });
    const came: number[] = [];
    server.prependListener("connection", (socket) => came.push(socket.remotePort ?? 0));
    const clients = Array.from({ length: 30 }, (_, i) => {
      const client = connect(port, "127.0.0.1");
      client.write(`${i} `);
      t.after(() => client.destroy());
      return client;
    });
    await Promise.all(clients.map((client) => once(client, "connect")));
    await until(() => heard.length === 30);
    assert.deepEqual(begun, came);
    assert.equal(new Set(heard).size, 30);
  });

  /** How many of 40 that come at once are begun in each turn, where a turn takes so many milliseconds. */
  async function turns(turnMs: number): Promise<number[]> {
    const begun: number[] = [];
    let [turn, all] = [0, 0];
    const server = createServer(() => {
      begun[turn] = (begun[turn] ?? 0) + 1;
      all++;
    });
    // The clock is looked at before a turn and in it.
    paceArrivals(server, () => turn++ * turnMs);
    for (let i = 0; i < 40; i++) server.emit("connection", new Socket());
    await until(() => all === 40);
    return begun.filter((count) => count > 0);
  }

  it("leave the event loop to others between them", async () => {
    assert.deepEqual(
      await turns(0),
      Array.from({ length: 10 }, () => 4),
    );
  });

  it("are more at once where all else takes long", async () => {
    assert.deepEqual(await turns(24), [10, 10, 10, 10]);
  });

  it("that are gone before their turn are not begun, and end nobody", async (t) => {
    const held: Socket[] = [];
    const { server, port } = await listening(t, (socket) => held.push(socket));
    server.prependListener("connection", (socket) => socket.destroy(new Error("reset")));
    const client = connect(port, "127.0.0.1");
    client.on("error", () => undefined);
    await once(client, "close");
    assert.equal(held.length, 0);
  });
});
