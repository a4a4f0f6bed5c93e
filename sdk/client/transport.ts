/**
 * HTTP/2 over TLS to one API server. Requests and watches are streams of one session, so a hundred watches cost one
 * connection; another session is opened only when the server's stream limit is near. A session that doesn't answer a
 * ping is given up, and the next request dials again, after a back-off when dialling failed.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import { StatusError, unavailable } from "../api/status.ts";
import { createBackoff, messageOf, pause } from "./log.ts";

export interface TransportOptions {
  /** "https://host:port", without a path. */
  origin: string;
  /** PEM. */
  ca?: string;
  cert?: string;
  key?: string;
}

export interface Exchange {
  code: number;
  headers: Record<string, string>;
  /** Ends with the response; destroying it cancels the request. */
  stream: ClientHttp2Stream;
}

export interface Transport {
  /** Resolves with the response's head. Throws StatusError 503 when there is no connection. */
  send(
    headers: Record<string, string>,
    body: string | undefined,
    signal: AbortSignal | undefined,
    headTimeoutMs: number | undefined,
  ): Promise<Exchange>;
  close(): void;
}

const PING_EVERY_MS = 15_000;
const PING_TIMEOUT_MS = 15_000;
const DIAL_TIMEOUT_MS = 10_000;
/** Left free on a session, because streams that just ended still count on the server's side. */
const STREAM_SLACK = 10;
const SESSION_WINDOW_BYTES = 64 << 20;
const STREAM_WINDOW_BYTES = 1 << 20;
const SESSIONS_MAX = 16;

interface Pooled {
  session: ClientHttp2Session;
  open: number;
}

const usable = (p: Pooled): boolean => !p.session.closed && !p.session.destroyed;
const streamLimit = (p: Pooled): number =>
  Math.max(1, Math.min(p.session.remoteSettings.maxConcurrentStreams ?? 100, 1_000_000) - STREAM_SLACK);

export function createTransport(options: TransportOptions): Transport {
  const pool: Pooled[] = [];
  const backoff = createBackoff(50, 2_000);
  let dialling: Promise<void> | undefined;
  let waitMs = 0;
  const closing = new AbortController();

  const dial = async (): Promise<void> => {
    if (waitMs > 0) await pause(waitMs, closing.signal);
    if (closing.signal.aborted) throw unavailable("the client is closed");
    try {
      const session = await openSession(options);
      const pooled: Pooled = { session, open: 0 };
      pool.push(pooled);
      session.once("close", () => pool.splice(pool.indexOf(pooled), 1));
      keepAlive(session);
      backoff.reset();
      waitMs = 0;
    } catch (error) {
      waitMs = backoff.nextMs();
      throw unavailable(`cannot connect to ${options.origin}: ${messageOf(error)}`);
    }
  };

  /** Takes a place on a session; everybody who waits for the same dial looks again, because its places are few too. */
  const acquire = async (): Promise<Pooled> => {
    for (;;) {
      const ready = pool.filter(usable).sort((a, b) => a.open - b.open);
      const least = ready[0];
      if (least && (least.open < streamLimit(least) || ready.length >= SESSIONS_MAX)) {
        least.open++;
        return least;
      }
      dialling ??= dial().finally(() => {
        dialling = undefined;
      });
      await dialling;
    }
  };

  return {
    async send(headers, body, signal, headTimeoutMs) {
      const pooled = await acquire();
      try {
        return await exchange(pooled, headers, body, signal, headTimeoutMs);
      } catch (error) {
        throw error instanceof StatusError ? error : unavailable(`${options.origin}: ${messageOf(error)}`);
      }
    },
    close() {
      closing.abort();
      for (const p of [...pool]) p.session.destroy();
    },
  };
}

function openSession(options: TransportOptions): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect(options.origin, {
      ca: options.ca,
      cert: options.cert,
      key: options.key,
      ALPNProtocols: ["h2"],
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
    });
    const timer = setTimeout(() => session.destroy(new Error("timed out")), DIAL_TIMEOUT_MS);
    session.once("error", reject);
    session.once("close", () => {
      clearTimeout(timer);
      reject(new Error("the connection was closed"));
    });
    // The server's settings arrive right after the handshake; before them its stream limit is unknown.
    session.once("remoteSettings", () => {
      clearTimeout(timer);
      session.setLocalWindowSize(SESSION_WINDOW_BYTES);
      resolve(session);
    });
  });
}

/** A peer that vanished without a FIN is noticed by a missing pong; its streams then end with an error. */
function keepAlive(session: ClientHttp2Session): void {
  session.on("error", () => session.destroy());
  session.on("goaway", () => session.close());
  let lost: NodeJS.Timeout | undefined;
  const timer = setInterval(() => {
    if (session.destroyed || lost) return;
    lost = setTimeout(() => session.destroy(new Error("the server does not answer pings")), PING_TIMEOUT_MS);
    session.ping(() => {
      clearTimeout(lost);
      lost = undefined;
    });
  }, PING_EVERY_MS);
  session.once("close", () => {
    clearInterval(timer);
    clearTimeout(lost);
  });
}

function open(pooled: Pooled, headers: Record<string, string>, endStream: boolean, signal: AbortSignal | undefined) {
  try {
    if (signal?.aborted) throw new Error("the request was aborted");
    return pooled.session.request(headers, { endStream });
  } catch (error) {
    pooled.open--;
    throw error;
  }
}

function exchange(
  pooled: Pooled,
  headers: Record<string, string>,
  body: string | undefined,
  signal: AbortSignal | undefined,
  headTimeoutMs: number | undefined,
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const stream = open(pooled, headers, body === undefined, signal);
    const cancel = () => stream.close(constants.NGHTTP2_CANCEL);
    const timer =
      headTimeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            reject(new Error(`no answer within ${headTimeoutMs} ms`));
            cancel();
          }, headTimeoutMs);
    signal?.addEventListener("abort", cancel, { once: true });
    stream.once("response", (head) => {
      clearTimeout(timer);
      const texts: Record<string, string> = {};
      for (const [name, value] of Object.entries(head)) if (!name.startsWith(":")) texts[name] = String(value);
      resolve({ code: Number(head[":status"] ?? 0), headers: texts, stream });
    });
    stream.on("error", reject);
    stream.once("close", () => {
      pooled.open--;
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
      reject(new Error("the connection was lost"));
    });
    if (body !== undefined) stream.end(body);
  });
}
