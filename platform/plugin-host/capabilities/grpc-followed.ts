/**
 * Server streams that stay open between calls into a component: what a device plugin says of its devices comes when something changes, and
 * whoever asked again and again would find a new stream each time and miss what the old one was told.
 */
import { type ClientReadableStream, type ServiceError, status } from "@grpc/grpc-js";
import type { HostFailure } from "#sdk/engine/port.ts";
import { grpcFailure, hostFailure } from "./failure.ts";

const STREAMS_MAX = 100;
/** A stream that nobody asked for in this time is closed. */
const UNASKED_MS = 300_000;

type Open = (socketPath: string, method: string, request: Uint8Array) => ClientReadableStream<Uint8Array>;

interface Stream {
  cancel(): void;
  newest: Uint8Array | undefined;
  failure: HostFailure | undefined;
  /** Told when a message or the end comes. */
  waiting: Set<() => void>;
  unasked: NodeJS.Timeout;
}

export interface Followed {
  latest(socketPath: string, method: string, request: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  close(): void;
}

export function createFollowed(open: Open): Followed {
  const streams = new Map<string, Stream>();

  const begin = (key: string, call: ClientReadableStream<Uint8Array>): Stream => {
    const end = () => {
      if (streams.get(key) === stream) streams.delete(key);
      call.cancel();
    };
    const stream: Stream = {
      cancel: () => call.cancel(),
      newest: undefined,
      failure: undefined,
      waiting: new Set(),
      unasked: setTimeout(end, UNASKED_MS).unref(),
    };
    const wake = () => {
      for (const one of stream.waiting) one();
    };
    const ended = (failure: HostFailure) => {
      stream.failure ??= failure;
      wake();
    };
    call.on("data", (message: Uint8Array) => {
      stream.newest = message;
      wake();
    });
    call.on("error", (error: ServiceError) => ended(grpcFailure(error)));
    call.on("end", () => ended(hostFailure("Unavailable", status.UNAVAILABLE, "the stream has ended")));
    return stream;
  };

  /** Until there is something to answer; a late answer is a failure that leaves the stream open. */
  const arrival = (stream: Stream, timeoutMs: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        stream.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(() => {
        stream.waiting.delete(done);
        const code = status.DEADLINE_EXCEEDED;
        reject(hostFailure("DeadlineExceeded", code, `no message came in ${Math.round(timeoutMs)} ms`));
      }, timeoutMs);
      stream.waiting.add(done);
    });

  return {
    async latest(socketPath, method, request, timeoutMs) {
      const key = `${socketPath}\0${method}\0${Buffer.from(request).toString("base64")}`;
      let stream = streams.get(key);
      if (stream === undefined) {
        if (streams.size >= STREAMS_MAX)
          throw hostFailure("ResourceExhausted", status.RESOURCE_EXHAUSTED, `${STREAMS_MAX} streams are open already`);
        stream = begin(key, open(socketPath, method, request));
        streams.set(key, stream);
      }
      stream.unasked.refresh();
      if (stream.newest === undefined && stream.failure === undefined) await arrival(stream, timeoutMs);
      if (stream.failure !== undefined) {
        clearTimeout(stream.unasked);
        if (streams.get(key) === stream) streams.delete(key);
        throw stream.failure;
      }
      // A copy: what crosses into a component is the component's.
      return (stream.newest ?? new Uint8Array()).slice();
    },
    close() {
      for (const { cancel, unasked } of streams.values()) {
        clearTimeout(unasked);
        cancel();
      }
      streams.clear();
    },
  };
}
