/** What is measured, and what is asked for: a ratio of ours to the original's in the same run. */

/** A line that the load client prints for a phase. */
export interface PhaseResult {
  phase: string;
  clients: number;
  ops: number;
  errors: number;
  per_second: number;
  p50_ms: number;
  p99_ms: number;
  max_ms: number;
  note?: string;
}

export interface Figure {
  name: string;
  /** Which of the phase's numbers; memory after it, more than before for each operation, or the server's most. */
  of: "per_second" | "p99_ms" | "errors" | "bytes" | "bytes_each" | "peak_bytes";
  /** At least (rates) or at most (latencies, memory) this many times the original's; for errors, this many. */
  target?: number;
  /** At most this, whatever the original needs. */
  limit?: number;
}

export interface Scenario {
  name: string;
  /** Arguments of the load client: phases that go together on one fresh state. */
  args: (scale: { seconds: number }) => readonly string[];
  /** Runs before memory is taken for the first time: what is there once is not counted to each. */
  before?: readonly string[];
  /** Before memory is taken: what lasts is asked for, and the collector works when there is little else to do. */
  restSeconds?: number;
  /**
   * The phase that both sides serve first, uncounted, and then in turns, both running: servers are measured as they are after
   * a while, and a machine that is slower in one minute than in the next is so to both.
   */
  inTurns?: string;
  /** API servers over one database. */
  servers?: number;
  /** The original has nothing like it, or would take too long: one run of ours. */
  alone?: boolean;
  figures: readonly Figure[];
}

const phase =
  (clients: number, phases: string, ...more: string[]) =>
  ({ seconds }: { seconds: number }) => [
    "--clients",
    String(clients),
    "--seconds",
    String(seconds),
    "--phases",
    phases,
    ...more,
  ];

export const scenarios: readonly Scenario[] = [
  {
    name: "create-1",
    inTurns: "create",
    args: phase(1, "create"),
    figures: [{ name: "creates/s, 1 client", of: "per_second", target: 1.5 }],
  },
  {
    name: "create-50",
    inTurns: "create",
    args: phase(50, "create"),
    figures: [{ name: "creates/s, 50 clients", of: "per_second", target: 3 }],
  },
  {
    name: "create-300",
    inTurns: "create",
    args: phase(300, "create"),
    figures: [
      { name: "creates/s, 300 clients", of: "per_second", target: 3 },
      { name: "create p99, 300 clients", of: "p99_ms", target: 0.5 },
    ],
  },
  {
    name: "create-pods",
    inTurns: "create-pods",
    args: phase(50, "create-pods"),
    figures: [{ name: "pods created/s, 50 clients", of: "per_second", target: 2 }],
  },
  {
    name: "get",
    inTurns: "get",
    args: phase(50, "get"),
    figures: [{ name: "gets/s, 50 clients", of: "per_second", target: 4 }],
  },
  {
    name: "list",
    args: phase(50, "fill,list", "--objects", "2000"),
    figures: [{ name: "pages of 500/s, 10 clients", of: "per_second", target: 2 }],
  },
  {
    name: "watch",
    args: phase(1, "watch", "--watchers", "1000", "--rate", "20"),
    figures: [
      { name: "watch p99 from the sending, 1,000 watchers, 20 writes/s", of: "p99_ms", target: 0.8 },
      { name: "events lost", of: "errors", target: 0 },
    ],
  },
  {
    name: "watch-other",
    args: phase(1, "watch", "--watchers", "50", "--rate", "50"),
    servers: 2,
    figures: [
      { name: "another server's watcher sees a write, p99", of: "p99_ms", limit: 25 },
      { name: "events lost to it", of: "errors", target: 0 },
    ],
  },
  {
    name: "memory",
    args: phase(50, "fill", "--objects", "50000"),
    figures: [{ name: "memory after 50,000 small objects", of: "bytes", target: 0.5 }],
  },
  {
    name: "informers",
    args: phase(50, "pods,informers", "--pods", "20000"),
    figures: [
      { name: "16 informers start on 20,000 pods, last synced", of: "p99_ms", target: 1 },
      { name: "memory afterwards", of: "bytes", target: 1 },
    ],
  },
  {
    name: "informers-150k",
    args: phase(50, "pods,informers", "--pods", "150000"),
    alone: true,
    figures: [
      { name: "16 informers start on 150,000 pods, last synced", of: "p99_ms" },
      { name: "informers that failed", of: "errors", target: 0 },
      { name: "most memory of the server", of: "peak_bytes", limit: 2 * 1024 ** 3 },
    ],
  },
  {
    name: "tenants",
    before: ["--phases", "tenants", "--tenants", "50", "--prefix", "before"],
    args: () => ["--phases", "tenants", "--tenants", "10000"],
    restSeconds: 60,
    alone: true,
    figures: [
      { name: "tenants with 10 objects made/s", of: "per_second" },
      { name: "memory a tenant, server and database", of: "bytes_each", limit: 100 * 1024 },
    ],
  },
];
