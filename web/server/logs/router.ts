import { tracked } from "@trpc/server";
import { z } from "zod";
import { asTRPCError, router, signedIn } from "../context.ts";
import { nameInput, namespaceInput, tenantInput } from "../target.ts";
import { followLog, type LogMessage } from "./follow.ts";

const TAIL_LINES_MAX = 5000;

const input = z.object({
  tenant: tenantInput,
  namespace: namespaceInput,
  pod: nameInput,
  container: nameInput,
  previous: z.boolean().default(false),
  tailLines: z.number().int().min(1).max(TAIL_LINES_MAX).default(1000),
  lastEventId: z.string().max(128).optional(),
});

export const logsRouter = router({
  /** A container's log: its last lines, then every new one, until the container ends. */
  follow: signedIn.input(input).subscription(async function* ({ ctx, input, signal }) {
    const { lastEventId, ...what } = input;
    const signals = [ctx.session.ended, ...(signal ? [signal] : [])];
    const messages = followLog({
      ...what,
      connection: ctx.connection,
      after: lastEventId,
      signal: AbortSignal.any(signals),
      drained: ctx.drained,
    });
    try {
      for await (const [id, message] of messages) yield tracked<LogMessage>(id, message);
    } catch (error) {
      throw asTRPCError(error);
    }
  }),
});
