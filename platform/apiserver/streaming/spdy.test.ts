import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { constants, createInflate } from "node:zlib";
import { SpdyConnection } from "./spdy.ts";

/** The other end of a connection: what was sent, frame by frame, and a way to answer. */
function pair() {
  const sent: Buffer[] = [];
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      sent.push(chunk);
      done();
    },
  });
  return { socket, frames: () => framesOf(Buffer.concat(sent)) };
}

function framesOf(bytes: Buffer): { control: boolean; word: number; flags: number; body: Buffer }[] {
  const frames = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4) & 0xffffff;
    const control = (bytes.readUInt8(at) & 0x80) !== 0;
    const word = control ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at);
    frames.push({ control, word, flags: bytes.readUInt8(at + 4), body: bytes.subarray(at + 8, at + 8 + length) });
    at += 8 + length;
  }
  return frames;
}

const data = (stream: number, text: string, flags = 0): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(stream, 0);
  head.writeUInt32BE(((flags << 24) | text.length) >>> 0, 4);
  return Buffer.concat([head, Buffer.from(text)]);
};

describe("SPDY/3.1, the client's side", () => {
  it("opens odd streams whose headers one inflater reads, block after block", async () => {
    const { socket, frames } = pair();
    const connection = new SpdyConnection(socket, Buffer.alloc(0));
    assert.equal(connection.open({ streamType: "error" }).id, 1);
    assert.equal(connection.open({ streamType: "stdout" }).id, 3);
    const opened = frames();
    assert.deepEqual(
      opened.map((one) => [one.control, one.word, one.body.readUInt32BE(0)]),
      [
        [true, 1, 1],
        [true, 1, 3],
      ],
    );
    const inflate = createInflate({ finishFlush: constants.Z_SYNC_FLUSH });
    const read: Buffer[] = [];
    inflate.on("data", (chunk: Buffer) => read.push(chunk));
    for (const one of opened) inflate.write(one.body.subarray(10));
    await new Promise<void>((resolve) => inflate.end(resolve));
    const text = Buffer.concat(read).toString("latin1");
    // Two blocks of one name and value each, every length in four bytes.
    assert.deepEqual(text.split(/[^a-z]+/), ["", "streamtype", "error", "streamtype", "stdout"]);
  });

  it("puts frames together however they were cut, and tells a stream's end once", () => {
    const { socket } = pair();
    const connection = new SpdyConnection(socket, Buffer.alloc(0));
    const stream = connection.open({});
    const got: string[] = [];
    connection.on("data", (_stream, chunk) => got.push(chunk.toString()));
    connection.on("end", () => got.push("end"));
    const bytes = Buffer.concat([
      data(stream.id, "hello"),
      data(99, "nobody"),
      data(stream.id, "!", 1),
      data(stream.id, "", 1),
    ]);
    for (const byte of bytes) socket.emit("data", Buffer.from([byte]));
    assert.deepEqual(got, ["hello", "!", "end"]);
  });

  it("half-closes with FIN and answers a ping", () => {
    const { socket, frames } = pair();
    const connection = new SpdyConnection(socket, Buffer.alloc(0));
    const stream = connection.open({});
    stream.write(Buffer.from("in"));
    stream.end();
    assert.equal(stream.write(Buffer.from("late")), true);
    socket.emit("data", Buffer.from([0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 7]));
    const [, first, fin, ping] = frames();
    assert.deepEqual([first?.body.toString(), fin?.flags, fin?.body.length], ["in", 1, 0]);
    assert.deepEqual([ping?.word, ping?.body.readUInt32BE(0)], [6, 7]);
    assert.equal(frames().length, 4);
  });
});
