/** tRPC's root: the context of a call, and the one boundary where errors get their shape. */
import { initTRPC, TRPCError } from "@trpc/server";
import { internal, type Status, StatusError } from "#sdk/api/status.ts";
import type { ConsoleLog } from "./port.ts";
import type { Connect } from "./session/connect.ts";
import type { Session, Sessions } from "./session/sessions.ts";

export interface Context {
  sessions: Sessions;
  session: Session | undefined;
  connect: Connect;
  log: ConsoleLog;
  /** Sets or (undefined) clears the session cookie of the answer; not there on live connections. */
  setSession?(id: string | undefined): void;
  /** Resolves when the live connection has room again: a slow browser slows the reading, not the memory. */
  drained?(): Promise<void>;
}

const t = initTRPC.context<Context>().create({
  errorFormatter({ shape, error }) {
    const status = statusOf(error);
    return {
      code: shape.code,
      message: status.message ?? shape.message,
      data: { code: shape.data.code, httpStatus: shape.data.httpStatus, path: shape.data.path, status },
    };
  },
});

/** Every error the browser sees carries a Status; what is no API error tells nothing about the server's inside. */
function statusOf(error: TRPCError): Status {
  if (error.cause instanceof StatusError) return error.cause.status;
  if (error.code === "BAD_REQUEST")
    return new StatusError(400, "BadRequest", "The console's request was malformed.").status;
  if (error.code === "UNAUTHORIZED") return new StatusError(401, "Unauthorized", error.message).status;
  if (error.code === "NOT_FOUND") return new StatusError(404, "NotFound", error.message).status;
  return internal("the console's server failed; its log says more").status;
}

const CODES: Record<number, TRPCError["code"]> = {
  400: "BAD_REQUEST",
  401: "UNAUTHORIZED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  405: "METHOD_NOT_SUPPORTED",
  409: "CONFLICT",
  410: "PRECONDITION_FAILED",
  422: "UNPROCESSABLE_CONTENT",
  429: "TOO_MANY_REQUESTS",
  503: "SERVICE_UNAVAILABLE",
  504: "GATEWAY_TIMEOUT",
};

export function asTRPCError(error: unknown): TRPCError {
  if (error instanceof TRPCError) return error;
  if (!(error instanceof StatusError)) return new TRPCError({ code: "INTERNAL_SERVER_ERROR", cause: error });
  return new TRPCError({ code: CODES[error.code] ?? "INTERNAL_SERVER_ERROR", message: error.message, cause: error });
}

export const router = t.router;

/** StatusErrors keep their code on the way out. */
export const publicProcedure = t.procedure.use(async ({ next }) => {
  const result = await next();
  if (!result.ok && result.error.cause instanceof StatusError) throw asTRPCError(result.error.cause);
  return result;
});

export const signedIn = publicProcedure.use(({ ctx, next }) => {
  const { session } = ctx;
  if (!session)
    throw new TRPCError({ code: "UNAUTHORIZED", message: "You are not signed in, or your session has ended." });
  return next({ ctx: { ...ctx, session, connection: session.connection } });
});
