/**
 * CPU limits without cgroups: a process that has used up what its limit earned it stands still until it has earned more. Coarser than the
 * kernel's bandwidth control, and it needs no right that the process's owner lacks.
 */
import { type Identity, processUsage, signal } from "./process.ts";

const TICK_MS = 100;
/** What may be saved up, and how far somebody may fall behind. */
const SAVED_NANOS_MAX = 500e6;

interface Throttled {
  who: Identity;
  /** CPUs. */
  limit: number;
  usedNanos: number;
  creditNanos: number;
  at: number;
  stopped: boolean;
}

export interface Throttle {
  /** `limit` in CPUs; undefined: no limit, nor is it looked at. */
  set(id: string, who: Identity, limit: number | undefined): void;
  /** It runs freely from now on, so that it can end. */
  forget(id: string): void;
  close(): void;
}

export function createThrottle(now: () => number): Throttle {
  const all = new Map<string, Throttled>();
  let timer: NodeJS.Timeout | undefined;

  const look = (id: string, one: Throttled) => {
    const usage = processUsage(one.who);
    if (usage === undefined) return void all.delete(id);
    const earned = (now() - one.at) * 1e6 * one.limit;
    const credit = one.creditNanos + earned - (usage.cpuNanos - one.usedNanos);
    one.creditNanos = Math.max(-SAVED_NANOS_MAX, Math.min(SAVED_NANOS_MAX, credit));
    one.usedNanos = usage.cpuNanos;
    one.at = now();
    const stop = one.creditNanos < 0;
    if (stop !== one.stopped) signal(one.who, stop ? "SIGSTOP" : "SIGCONT");
    one.stopped = stop;
  };
  const tick = () => {
    for (const [id, one] of all) look(id, one);
    if (all.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
  const free = (id: string) => {
    const one = all.get(id);
    if (one?.stopped) signal(one.who, "SIGCONT");
    all.delete(id);
  };
  return {
    set(id, who, limit) {
      free(id);
      if (limit === undefined) return;
      // One that an earlier agent stopped and could not start again.
      signal(who, "SIGCONT");
      const usedNanos = processUsage(who)?.cpuNanos ?? 0;
      all.set(id, { who, limit, usedNanos, creditNanos: SAVED_NANOS_MAX, at: now(), stopped: false });
      timer ??= setInterval(tick, TICK_MS).unref();
    },
    forget: free,
    close() {
      for (const id of all.keys()) free(id);
      clearInterval(timer);
    },
  };
}
