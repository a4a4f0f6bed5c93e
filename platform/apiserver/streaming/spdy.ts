/**
 * The client's side of SPDY/3.1 framing (draft-mbelshe-httpbis-spdy-00, and 3.1's session flow control, which Kubernetes'
 * implementation, moby/spdystream, does not use). As little as CRI streaming needs: open streams, data both ways, half-close.
 *
 * A control frame is `1 version(15) type(16) flags(8) length(24)`, a data frame `0 stream(31) flags(8) length(24)`.
 *
 * Header blocks are a zlib stream that lasts as long as the connection. Ours is written in stored (uncompressed) blocks, which
 * any inflater takes and which needs neither state nor SPDY's dictionary; the replies' headers carry nothing and are not read.
 */
import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";

const VERSION = 3;
const SYN_STREAM = 1;
const SYN_REPLY = 2;
const RST_STREAM = 3;
const PING = 6;
const GOAWAY = 7;
const FLAG_FIN = 1;
const HEADER_BYTES = 8;
/** Go's writers send at most 32 KiB at once; 24 bits would allow 16 MiB. */
const FRAME_BYTES_MAX = 1 << 20;
/** CMF and FLG of a zlib stream without a preset dictionary (RFC 1950). */
const ZLIB_START = Buffer.from([0x78, 0x01]);
/** An empty stored block, zlib's sync flush: Go's inflater hands nothing out before it. */
const FLUSH = Buffer.from([0, 0, 0, 0xff, 0xff]);

export class SpdyStream {
  private readonly connection: SpdyConnection;
  readonly id: number;
  /** The other side sent its last byte. */
  remoteClosed = false;
  localClosed = false;

  constructor(connection: SpdyConnection, id: number) {
    this.connection = connection;
    this.id = id;
  }

  /** False: wait for the connection's "drain". */
  write(data: Buffer): boolean {
    return this.localClosed || data.length === 0 ? true : this.connection.sendData(this.id, data, 0);
  }

  /** Half-closes: no more data from here. */
  end(): void {
    if (this.localClosed) return;
    this.localClosed = true;
    this.connection.sendData(this.id, Buffer.alloc(0), FLAG_FIN);
  }
}

interface Events {
  data: [stream: SpdyStream, data: Buffer];
  /** The stream's other side has ended, or was reset (then `code` is the RST_STREAM status). */
  end: [stream: SpdyStream, code: number | undefined];
  drain: [];
  /** The connection is over, with the reason when it broke. */
  close: [error: Error | undefined];
}

export class SpdyConnection extends EventEmitter<Events> {
  private readonly socket: Duplex;
  private readonly streams = new Map<number, SpdyStream>();
  private nextId = 1;
  private headersBegun = false;
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private over = false;

  /** `head`: what was read from the socket behind the upgrade's response. */
  constructor(socket: Duplex, head: Buffer) {
    super();
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.receive(chunk));
    socket.on("drain", () => this.emit("drain"));
    socket.on("error", (error) => this.finish(error));
    socket.on("close", () => this.finish(undefined));
    socket.on("end", () => this.finish(undefined));
    if (head.length > 0) this.receive(head);
  }

  /** Opens a stream with these headers; they reach the other side in lower case. */
  open(headers: Record<string, string>): SpdyStream {
    const stream = new SpdyStream(this, this.nextId);
    this.nextId += 2;
    this.streams.set(stream.id, stream);
    const block = this.headerBlock(headers);
    const body = Buffer.alloc(10 + block.length);
    body.writeUInt32BE(stream.id, 0);
    block.copy(body, 10);
    this.sendControl(SYN_STREAM, body);
    return stream;
  }

  /** Stops reading while whoever takes the data is full. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  destroy(): void {
    this.socket.destroy();
  }

  sendData(id: number, data: Buffer, flags: number): boolean {
    let at = 0;
    let flowing = true;
    do {
      const part = data.subarray(at, at + FRAME_BYTES_MAX);
      at += part.length;
      const head = Buffer.alloc(HEADER_BYTES);
      head.writeUInt32BE(id, 0);
      head.writeUInt32BE(((flags & 255) << 24) | part.length, 4);
      if (!this.over) flowing = this.socket.write(Buffer.concat([head, part]));
    } while (at < data.length);
    return flowing;
  }

  private sendControl(type: number, body: Buffer): void {
    const head = Buffer.alloc(HEADER_BYTES);
    head.writeUInt16BE(0x8000 | VERSION, 0);
    head.writeUInt16BE(type, 2);
    head.writeUInt32BE(body.length, 4);
    if (!this.over) this.socket.write(Buffer.concat([head, body]));
  }

  private headerBlock(headers: Record<string, string>): Buffer {
    const entries = Object.entries(headers);
    const parts: Buffer[] = [uint32(entries.length)];
    for (const [name, value] of entries)
      for (const text of [name.toLowerCase(), value]) {
        const bytes = Buffer.from(text);
        parts.push(uint32(bytes.length), bytes);
      }
    const plain = Buffer.concat(parts);
    // RFC 1951, 3.2.4: not the last block, stored; length and its complement, little endian.
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(plain.length, 1);
    stored.writeUInt16LE(~plain.length & 0xffff, 3);
    const start = this.headersBegun ? Buffer.alloc(0) : ZLIB_START;
    this.headersBegun = true;
    return Buffer.concat([start, stored, plain, FLUSH]);
  }

  private receive(chunk: Buffer): void {
    this.pending.push(chunk);
    this.pendingBytes += chunk.length;
    let buffer = this.pendingBytes >= HEADER_BYTES ? this.whole() : undefined;
    while (buffer !== undefined && buffer.length >= HEADER_BYTES) {
      const length = buffer.readUInt32BE(4) & 0xffffff;
      if (buffer.length < HEADER_BYTES + length) break;
      this.frame(buffer, buffer.subarray(HEADER_BYTES, HEADER_BYTES + length));
      buffer = buffer.subarray(HEADER_BYTES + length);
    }
    if (buffer !== undefined) {
      this.pending = buffer.length > 0 ? [buffer] : [];
      this.pendingBytes = buffer.length;
    }
  }

  private whole(): Buffer {
    return this.pending.length === 1 ? (this.pending[0] ?? Buffer.alloc(0)) : Buffer.concat(this.pending);
  }

  private frame(head: Buffer, body: Buffer): void {
    const flags = head.readUInt8(4);
    if ((head.readUInt8(0) & 0x80) === 0) {
      const stream = this.streams.get(head.readUInt32BE(0) & 0x7fffffff);
      if (stream === undefined) return;
      if (body.length > 0) this.emit("data", stream, body);
      if ((flags & FLAG_FIN) !== 0) this.endOf(stream, undefined);
      return;
    }
    const type = head.readUInt16BE(2);
    if (type === PING) this.sendControl(PING, body);
    else if (type === GOAWAY) this.socket.end();
    else if (type === SYN_REPLY || type === RST_STREAM) {
      const stream = this.streams.get(body.readUInt32BE(0) & 0x7fffffff);
      if (stream === undefined) return;
      if (type === RST_STREAM) this.endOf(stream, body.readUInt32BE(4));
      else if ((flags & FLAG_FIN) !== 0) this.endOf(stream, undefined);
    }
  }

  private endOf(stream: SpdyStream, code: number | undefined): void {
    if (stream.remoteClosed) return;
    stream.remoteClosed = true;
    if (code !== undefined || stream.localClosed) this.streams.delete(stream.id);
    this.emit("end", stream, code);
  }

  private finish(error: Error | undefined): void {
    if (this.over) return;
    this.over = true;
    this.socket.destroy();
    this.emit("close", error);
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
