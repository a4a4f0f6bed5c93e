/** What the watch cache tells about itself. */
import type { Metric } from "#platform/base/exposition.ts";

export interface CacheFigures {
  revision: number;
  epoch: number;
  following: boolean;
  objects: ReadonlyMap<string, number>;
  historyEntries: number;
  historyBytes: number;
  /** By whether something waits for their reader. */
  watchers: { idle: number; behind: number };
  ended: { slow: number; gap: number };
  loads: number;
}

export function cacheMetrics(f: CacheFigures): Metric[] {
  const gauge = (name: string, help: string, value: number): Metric => ({
    name,
    help,
    type: "gauge",
    samples: [{ value }],
  });
  return [
    gauge("capstan_store_epoch", "Rises when the database lost its last moment or was restored.", f.epoch),
    gauge("capstan_store_cache_following", "1 while the cache follows the log, 0 while it loads.", Number(f.following)),
    {
      name: "capstan_store_cache_loads_total",
      help: "Loads of everything: one at the start, one after each gap in the log.",
      type: "counter",
      samples: [{ value: f.loads }],
    },
    {
      name: "capstan_store_cache_objects",
      help: "Living objects.",
      type: "gauge",
      samples: [...f.objects].map(([resource, value]) => ({ labels: { resource }, value })),
    },
    gauge("capstan_store_history_entries", "Changes kept for watches that begin in the past.", f.historyEntries),
    gauge("capstan_store_history_bytes", "Bytes of their documents.", f.historyBytes),
    {
      name: "capstan_store_watchers",
      help: "Open watches: idle, or behind with events that were not taken.",
      type: "gauge",
      samples: Object.entries(f.watchers).map(([state, value]) => ({ labels: { state }, value })),
    },
    {
      name: "capstan_store_watches_expired_total",
      help: "Watches ended with 410: too slow for the buffer, or a gap in the log.",
      type: "counter",
      samples: Object.entries(f.ended).map(([reason, value]) => ({ labels: { reason }, value })),
    },
  ];
}
