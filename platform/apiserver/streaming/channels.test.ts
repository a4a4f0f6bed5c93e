import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import type { WebSocket } from "ws";
import { COMMAND_PROTOCOLS, channelsOf, chooseChannels, FORWARD_PROTOCOLS, V4, V5 } from "./channels.ts";

/** As much of a WebSocket as channels use: keeps what is sent. */
class Recorder extends EventEmitter {
  readonly sent: (string | Buffer)[] = [];
  bufferedAmount = 0;
  send(message: string | Buffer, sent: () => void): void {
    this.sent.push(message);
    sent();
  }
  close(): void {
    this.emit("close");
  }
}

const over = (name: string) => {
  const protocol = chooseChannels(name === "" ? [] : [name], COMMAND_PROTOCOLS);
  assert.ok(protocol);
  const recorder = new Recorder();
  return { recorder, channels: channelsOf(recorder as unknown as WebSocket, protocol) };
};

test("the client's first known protocol is taken; one that offers none speaks the first version", () => {
  assert.equal(chooseChannels(["x", V4, V5], COMMAND_PROTOCOLS)?.name, V4);
  assert.equal(chooseChannels([], COMMAND_PROTOCOLS)?.statusErrors, false);
  assert.equal(chooseChannels(["x"], COMMAND_PROTOCOLS), undefined);
  assert.equal(chooseChannels([V5], FORWARD_PROTOCOLS), undefined);
});

test("a message begins with its channel: a byte, or in base64 protocols a digit", () => {
  for (const [name, expected] of [
    ["channel.k8s.io", Buffer.from("\u0001hi")],
    ["v4.base64.channel.k8s.io", `1${Buffer.from("hi").toString("base64")}`],
  ] as const) {
    const { recorder, channels } = over(name);
    assert.ok(channels.send(1, Buffer.from("hi"), () => undefined));
    assert.deepEqual(recorder.sent, [expected]);
    const got: [number, string][] = [];
    channels.onMessage((channel, data) => got.push([channel, data.toString()]));
    recorder.emit("message", Buffer.from(expected));
    recorder.emit("message", Buffer.alloc(0));
    assert.deepEqual(got, [[1, "hi"]]);
    channels.close();
  }
});
