/** The console's server: signing in over HTTP, everything live over one WebSocket. */
import {
  createTRPCClient,
  createWSClient,
  httpLink,
  splitLink,
  TRPCClientError,
  type TRPCWebSocketClient,
  wsLink,
} from "@trpc/client";
import type { AppRouter } from "../../server/router.ts";

export type { Identity } from "../../server/port.ts";

/** What the API server (or the console's) says of a failure. */
export interface Failure {
  code: number;
  reason: string;
  message: string;
}

const socketUrl = (): string => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`;

/** Called when the live connection was lost; a lost session shows only this way. */
let onLost: () => void = () => undefined;
export const whenLost = (callback: () => void): void => {
  onLost = callback;
};

export const socket: TRPCWebSocketClient = createWSClient({
  url: socketUrl,
  lazy: { enabled: true, closeMs: 30_000 },
  keepAlive: { enabled: true, intervalMs: 20_000, pongTimeoutMs: 10_000 },
  retryDelayMs: (attempt) => (attempt === 0 ? 0 : Math.min(250 * 2 ** attempt, 5_000)),
  onClose: () => onLost(),
});

export const api = createTRPCClient<AppRouter>({
  links: [
    splitLink({
      condition: (operation) => operation.type === "subscription",
      true: wsLink({ client: socket }),
      false: httpLink({ url: "/api/trpc" }),
    }),
  ],
});

export function failureOf(error: unknown): Failure {
  if (error instanceof TRPCClientError) {
    const status = (error as TRPCClientError<AppRouter>).data?.status;
    if (status)
      return { code: status.code ?? 500, reason: status.reason ?? "", message: status.message ?? error.message };
    return { code: 503, reason: "ServiceUnavailable", message: "The console's server does not answer." };
  }
  return { code: 500, reason: "InternalError", message: error instanceof Error ? error.message : String(error) };
}
