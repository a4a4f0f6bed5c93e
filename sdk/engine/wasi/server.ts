/**
 * HTTP for a guest that exports wasi:http/incoming-handler. One request at a time, as the guest has one thread; what it does not answer, or
 * answers by an error, is a 500. After a trap the next request finds a new instance.
 */
import type { Guest } from "./guest.ts";
import type { HttpAnswer, IncomingHandler, Shim } from "./shim.ts";
import { INCOMING_HANDLER } from "./spec.ts";

export interface GuestServer {
  stop(): void;
}

export interface ServerParts {
  shim: Shim;
  listen: readonly { host: string; port: number }[];
  make(): Guest;
  first: Guest;
  /** A request that trapped; `memoryBytes` is what the guest had by then. */
  trapped(error: unknown, memoryBytes: number): void;
  /** After every request. */
  answered(memoryBytes: number): void;
}

/**
 * The guest's own view of wasi:http/types: an error that it answers would end the shim's process, and becomes a plain response. Classes are
 * changed in place, because the guest knows resources by them.
 */
export function answerErrors({ http }: Shim, note: (error: unknown) => void): (out: object, why: string) => void {
  const { ResponseOutparam } = http.types;
  const set = ResponseOutparam.set.bind(ResponseOutparam);
  const answered = new WeakSet<object>();
  ResponseOutparam.set = (out: object, answer: HttpAnswer) => {
    answered.add(out);
    if (answer.tag === "ok") return set(out, answer);
    note(answer.val);
    failure(out, set, http.types);
  };
  return (out, why) => {
    if (answered.has(out)) return;
    answered.add(out);
    note(why);
    failure(out, set, http.types);
  };
}

function failure(out: object, set: (out: object, answer: HttpAnswer) => void, types: Shim["http"]["types"]): void {
  const response = new types.OutgoingResponse(types.Fields.fromList([["content-type", Buffer.from("text/plain")]]));
  response.setStatusCode(500);
  const body = response.body();
  set(out, { tag: "ok", val: response });
  const stream = body.write();
  stream.blockingWriteAndFlush(Buffer.from("the component failed\n"));
  stream[Symbol.dispose]();
  types.OutgoingBody.finish(body, undefined);
}

export function serveGuest(parts: ServerParts, giveUp: (out: object, why: string) => void): GuestServer {
  const { shim, listen } = parts;
  let guest = parts.first;
  const handler: IncomingHandler = {
    handle(request, out) {
      const instance = guest;
      try {
        instance.find(INCOMING_HANDLER)?.["handle"]?.(request, out);
        giveUp(out, "the component did not answer");
        parts.answered(instance.memoryBytes());
      } catch (error) {
        giveUp(out, error instanceof Error ? error.message : String(error));
        parts.trapped(error, instance.memoryBytes());
        guest = parts.make();
      }
    },
  };
  const servers = listen.map(({ host, port }) => {
    const server = new shim.http.HTTPServer(handler);
    server.listen(port, host);
    return server;
  });
  return { stop: () => servers.forEach((server) => void server.stop()) };
}
