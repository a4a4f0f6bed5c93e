/** gRPC services of the agent at unix sockets: what the node's own programs speak to. */
import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { messageOf } from "#platform/base/log.ts";
import type { Codec, Message } from "#sdk/plugin/protobuf.ts";

/** A refusal of another status than Unknown, which stands for every other error. */
export class GrpcRefusal extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface UnaryMethod {
  request: string;
  response: string;
  answer(request: Message): Message | Promise<Message>;
}

/** By "package.Service", then by method. */
export type Services = Readonly<Record<string, Readonly<Record<string, UnaryMethod>>>>;

export interface GrpcServer {
  close(): void;
}

const REQUEST_BYTES_MAX = 1 << 20;

/** A socket that somebody left at the path is replaced. Rejects where the path cannot be bound. */
export async function serveGrpc(socket: string, codec: Codec, services: Services): Promise<GrpcServer> {
  const server = new Server({ "grpc.max_receive_message_length": REQUEST_BYTES_MAX });
  for (const [service, methods] of Object.entries(services))
    server.addService(
      Object.fromEntries(
        Object.entries(methods).map(([name, { request, response }]) => [
          name,
          {
            path: `/${service}/${name}`,
            requestStream: false,
            responseStream: false,
            requestSerialize: (value: Message) => Buffer.from(codec.encode(request, value)),
            requestDeserialize: (bytes: Buffer) => codec.decode(request, new Uint8Array(bytes)),
            responseSerialize: (value: Message) => Buffer.from(codec.encode(response, value)),
            responseDeserialize: (bytes: Buffer) => codec.decode(response, new Uint8Array(bytes)),
          },
        ]),
      ),
      Object.fromEntries(Object.entries(methods).map(([name, method]) => [name, handler(method)])),
    );
  mkdirSync(dirname(socket), { recursive: true, mode: 0o750 });
  rmSync(socket, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  return { close: () => server.forceShutdown() };
}

const handler =
  ({ answer }: UnaryMethod) =>
  (call: ServerUnaryCall<Message, Message>, done: sendUnaryData<Message>): void => {
    const respond = async () => answer(call.request);
    respond().then(
      (value) => done(null, value),
      (error: unknown) =>
        done({ code: error instanceof GrpcRefusal ? error.code : status.UNKNOWN, details: messageOf(error) }),
    );
  };
