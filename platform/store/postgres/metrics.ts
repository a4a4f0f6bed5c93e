/** What the store below the cache tells about itself. */
import type { Metric } from "#platform/base/exposition.ts";
import type { CommitMeter } from "./meter.ts";

export interface PostgresFigures {
  meter: CommitMeter;
  waiting: number;
  /** 0…1 of PostgreSQL's notification queue; undefined while unknown. */
  notificationQueue: number | undefined;
  /** LISTEN brings notifications; undefined while unknown. */
  listening: boolean | undefined;
  /** How far the tail is behind the newest revision this process knows of. */
  lagRevisions: number;
  /** Since the tail was last at the end of the log; its poll looks each second. */
  lagSeconds: number;
}

const gauge = (name: string, help: string, value: number | undefined): Metric[] =>
  value === undefined ? [] : [{ name, help, type: "gauge", samples: [{ value }] }];

export const postgresMetrics = (f: PostgresFigures): Metric[] => [
  {
    name: "capstan_store_commit_writes",
    help: "Writes that shared a transaction.",
    type: "histogram",
    values: f.meter.writes,
  },
  {
    name: "capstan_store_commit_duration_seconds",
    help: "From the start of a batch's transaction to its answer.",
    type: "histogram",
    values: f.meter.seconds,
  },
  {
    name: "capstan_store_commits_total",
    help: "Batches by how often the database was spoken to: once, where nobody else had written, or twice.",
    type: "counter",
    samples: Object.entries(f.meter.flights).map(([flights, value]) => ({ labels: { flights }, value })),
  },
  {
    name: "capstan_store_commits_in_doubt_total",
    help: "Commits whose answer was lost with the connection and was looked up.",
    type: "counter",
    samples: [{ value: f.meter.doubts }],
  },
  ...gauge("capstan_store_writes_waiting", "Writes that wait for a batch.", f.waiting),
  ...gauge("capstan_store_tail_lag_revisions", "Revisions known of and not yet read from the log.", f.lagRevisions),
  ...gauge("capstan_store_tail_lag_seconds", "Since the end of the log was last reached.", f.lagSeconds),
  ...gauge(
    "capstan_store_listen_working",
    "1 when notifications arrive, 0 when only the poll finds changes.",
    f.listening === undefined ? undefined : Number(f.listening),
  ),
  ...gauge("capstan_store_notification_queue_usage", "Share of PostgreSQL's notification queue.", f.notificationQueue),
];
