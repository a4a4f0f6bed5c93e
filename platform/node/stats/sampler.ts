/** Usage of cgroups with their rate of CPU: for each the last sample of a while ago, nothing older. */
import type { Usage } from "./usage.ts";

/** cAdvisor's housekeeping. */
const WINDOW_MS = 10_000;
const WINDOW_MS_MIN = 1_000;

export interface Sample extends Usage {
  /** Of one CPU's billion a second; undefined until there are two samples. */
  nanoCores?: number;
  /** What the rate was measured over. */
  windowMs: number;
}

export interface Sampler {
  /** A fresh reading; undefined when there is nothing under the key any more. */
  sample(key: string): Sample | undefined;
  /** Forgets all others. */
  keep(keys: ReadonlySet<string>): void;
}

interface Known {
  base: Usage;
  rate?: { nanoCores: number; windowMs: number };
}

export function createSampler(read: (key: string) => Usage | undefined): Sampler {
  const known = new Map<string, Known>();
  return {
    sample(key) {
      const usage = read(key);
      if (usage === undefined) {
        known.delete(key);
        return undefined;
      }
      const before = known.get(key);
      // A counter that fell is another cgroup of the same name.
      if (before === undefined || usage.cpuNanos < before.base.cpuNanos) {
        known.set(key, { base: usage });
        return { ...usage, windowMs: 0 };
      }
      const windowMs = usage.at - before.base.at;
      const measured = windowMs < WINDOW_MS_MIN ? before.rate : rateOf(before.base, usage);
      if (windowMs >= WINDOW_MS) known.set(key, { base: usage, ...(measured ? { rate: measured } : {}) });
      const rate = windowMs < WINDOW_MS ? (before.rate ?? measured) : measured;
      return { ...usage, ...(rate ?? { windowMs: 0 }) };
    },
    keep(keys) {
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
    },
  };
}

const rateOf = (from: Usage, to: Usage) => ({
  nanoCores: Math.round(((to.cpuNanos - from.cpuNanos) * 1000) / (to.at - from.at)),
  windowMs: to.at - from.at,
});
