/** Times as ages, in kubectl's short form; one clock for the whole page. */
import { useSyncExternalStore } from "react";
import { ageText } from "./age-text.ts";

const TICK_MS = 1000;
const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

export function Age({ time }: { time: string }) {
  const text = useSyncExternalStore(subscribe, () => ageText(time, Math.max(now, Date.parse(time) || 0)));
  if (time === "") return null;
  return (
    <time dateTime={time} title={new Date(time).toLocaleString()}>
      {text}
    </time>
  );
}
