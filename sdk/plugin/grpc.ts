/** For guests: gRPC over the unix sockets granted by name. Needs the capability "grpc". Messages are protobuf bytes. */
import grpc from "capstan:plugin/grpc@1.0.0";
import { calling } from "./failure.ts";

/** Failures: PluginFailure with `code` the gRPC status and `reason` its name ("NotFound", "Unavailable" …). */
export const unary = (socket: string, method: string, request: Uint8Array, timeoutMs = 0): Uint8Array =>
  calling(() => grpc.unary(socket, method, request, timeoutMs));

/** A server stream's messages until it ends, or until the bound or the time is reached. */
export const collect = (
  socket: string,
  method: string,
  request: Uint8Array,
  messagesMax: number,
  timeoutMs: number,
): Uint8Array[] => calling(() => grpc.collect(socket, method, request, messagesMax, timeoutMs));

/** The newest message of a server stream that the host keeps open between calls. */
export const latest = (socket: string, method: string, request: Uint8Array, timeoutMs = 0): Uint8Array =>
  calling(() => grpc.latest(socket, method, request, timeoutMs));
