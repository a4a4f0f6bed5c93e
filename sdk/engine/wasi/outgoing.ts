/** Outgoing requests of a guest (wasi:http/outgoing-handler), so many at a time and each within a time, whatever the guest asks for. */
import type { OutgoingHandler, RequestOptions } from "./shim.ts";

/** Answers that the guest holds at once: one more is refused until it lets go of one. */
const OPEN_MAX = 64;
const SECOND_NANOS = 1_000_000_000n;
const CONNECT_NANOS_MAX = 30n * SECOND_NANOS;
const ANSWER_NANOS_MAX = 60n * SECOND_NANOS;

const least = (asked: bigint | undefined, max: bigint): bigint => (asked !== undefined && asked < max ? asked : max);

const bounded = (options: RequestOptions | undefined): RequestOptions => ({
  connectTimeout: () => least(options?.connectTimeout(), CONNECT_NANOS_MAX),
  firstByteTimeout: () => least(options?.firstByteTimeout(), ANSWER_NANOS_MAX),
  betweenBytesTimeout: () => least(options?.betweenBytesTimeout(), ANSWER_NANOS_MAX),
});

export function boundedRequests(handler: OutgoingHandler): OutgoingHandler {
  let open = 0;
  return {
    handle(request, options) {
      if (open >= OPEN_MAX)
        throw { tag: "internal-error", val: `${OPEN_MAX} requests are open: let go of an answer before the next one` };
      const future = handler.handle(request, bounded(options));
      open++;
      let held = true;
      const dispose = future[Symbol.dispose].bind(future);
      future[Symbol.dispose] = () => {
        if (held) open--;
        held = false;
        dispose();
      };
      return future;
    },
  };
}
