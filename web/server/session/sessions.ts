/**
 * Sessions live in this process's memory only: a random id in a cookie names a connection that carries the user's
 * credential. Bounded in number, ended by time, by the user, and with the process.
 */
import { randomBytes } from "node:crypto";
import { tooManyRequests } from "#sdk/api/status.ts";
import type { UserConnection } from "../port.ts";

export const SESSION_IDLE_MS_MAX = 60 * 60_000;
export const SESSION_AGE_MS_MAX = 12 * 60 * 60_000;
export const SESSIONS_MAX = 500;
/** Live connections (browser tabs) of one session. */
export const TABS_MAX = 32;

export interface Session {
  readonly id: string;
  readonly connection: UserConnection;
  /** Aborted when the session ends: everything that runs for it stops. */
  readonly ended: AbortSignal;
}

interface Kept extends Session {
  end: AbortController;
  tabs: number;
  startedAt: number;
  usedAt: number;
}

export interface Sessions {
  start(connection: UserConnection): Session;
  /** The session of a cookie's id, if it is still good; using it keeps it. */
  get(id: string | undefined): Session | undefined;
  /** A live connection begins; returns what to call when it is over. Open tabs keep a session; undefined: too many. */
  openTab(session: Session): (() => void) | undefined;
  end(id: string): void;
  /** Ends what has expired; called by a timer and before a new session is refused. */
  sweep(): void;
  close(): void;
  readonly size: number;
}

/** `now` in milliseconds, monotonic. */
export function createSessions(now: () => number): Sessions {
  const sessions = new Map<string, Kept>();
  const end = (id: string) => {
    const session = sessions.get(id);
    if (!session) return;
    sessions.delete(id);
    session.end.abort();
    session.connection.close();
  };
  const expired = (s: Kept): boolean =>
    now() - s.startedAt > SESSION_AGE_MS_MAX || (s.tabs === 0 && now() - s.usedAt > SESSION_IDLE_MS_MAX);
  const sweep = () => {
    for (const session of [...sessions.values()]) if (expired(session)) end(session.id);
  };
  return {
    start(connection) {
      if (sessions.size >= SESSIONS_MAX) sweep();
      if (sessions.size >= SESSIONS_MAX) {
        throw tooManyRequests(`The console serves ${SESSIONS_MAX} sessions already. Try again later.`, 60);
      }
      const controller = new AbortController();
      const session: Kept = {
        id: randomBytes(32).toString("base64url"),
        connection,
        end: controller,
        ended: controller.signal,
        tabs: 0,
        startedAt: now(),
        usedAt: now(),
      };
      sessions.set(session.id, session);
      return session;
    },
    get(id) {
      const session = id === undefined ? undefined : sessions.get(id);
      if (!session) return undefined;
      if (expired(session)) {
        end(session.id);
        return undefined;
      }
      session.usedAt = now();
      return session;
    },
    openTab({ id }) {
      const session = sessions.get(id);
      if (!session || session.tabs >= TABS_MAX) return undefined;
      session.tabs++;
      return () => {
        session.tabs--;
        session.usedAt = now();
      };
    },
    end,
    sweep,
    close() {
      for (const id of [...sessions.keys()]) end(id);
    },
    get size() {
      return sessions.size;
    },
  };
}
