/** The capability `grpc`: calls with raw protobuf bytes over unix sockets. One connection a socket, shared by all calls. */
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { grpcFailure as failed } from "./failure.ts";
import { createFollowed } from "./grpc-followed.ts";

const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const MESSAGES_MAX = 10_000;

export interface GrpcCaller {
  unary(socketPath: string, method: string, request: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /** What has come when `messagesMax` or `timeoutMs` is reached, or the stream ends. */
  collect(
    socketPath: string,
    method: string,
    request: Uint8Array,
    messagesMax: number,
    timeoutMs: number,
  ): Promise<Uint8Array[]>;
  /** The newest message of a stream that stays open; waits for the first. */
  latest(socketPath: string, method: string, request: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  close(): void;
}

const out = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
/** A copy that owns its memory: a Buffer may be a view of a shared one. */
const taken = (buffer: Buffer): Uint8Array => new Uint8Array(buffer);

export function createGrpcCaller(): GrpcCaller {
  const clients = new Map<string, Client>();
  const clientFor = (socketPath: string): Client => {
    let client = clients.get(socketPath);
    if (!client) {
      client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
        "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
        "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 2000,
      });
      clients.set(socketPath, client);
    }
    return client;
  };
  const followed = createFollowed((socketPath, method, request) =>
    clientFor(socketPath).makeServerStreamRequest(method, out, taken, request),
  );
  return {
    unary: (socketPath, method, request, timeoutMs) =>
      new Promise((resolve, reject) => {
        const options = { deadline: Date.now() + timeoutMs };
        clientFor(socketPath).makeUnaryRequest(method, out, taken, request, options, (error, answer) => {
          if (error) reject(failed(error));
          else resolve(answer ?? new Uint8Array());
        });
      }),
    collect: (socketPath, method, request, messagesMax, timeoutMs) =>
      new Promise((resolve, reject) => {
        const options = { deadline: Date.now() + timeoutMs };
        const messages: Uint8Array[] = [];
        const most = Math.min(messagesMax || MESSAGES_MAX, MESSAGES_MAX);
        const stream = clientFor(socketPath).makeServerStreamRequest(method, out, taken, request, options);
        stream.on("data", (message: Uint8Array) => {
          messages.push(message);
          if (messages.length < most) return;
          stream.cancel();
          resolve(messages);
        });
        stream.on("error", (error: ServiceError) => {
          if (error.code === status.DEADLINE_EXCEEDED || error.code === status.CANCELLED) resolve(messages);
          else reject(failed(error));
        });
        stream.on("end", () => resolve(messages));
      }),
    latest: followed.latest,
    close() {
      followed.close();
      for (const client of clients.values()) client.close();
      clients.clear();
    },
  };
}
