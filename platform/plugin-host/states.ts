/**
 * The life of a plugin in one process, total over events:
 *
 *     absent ─install→ fetching ─fetched→ compiling ─compiled→ warming ─warmed→ serving
 *        ↑                └──── failed ────────┴────── failed ─────┴→ backing-off ─retry→ fetching
 *        └─drained─ draining ←─remove─ (any that is loaded)     serving ─stopped→ backing-off
 *                                                              backing-off ─gaveUp→ quarantined
 *
 * `stopped` means that the last live instance was stopped; while others live the pool goes on serving. A quarantined plugin leaves
 * that state only by a change of its spec (another pool) or by being removed.
 */
export const STATES = [
  "absent",
  "fetching",
  "compiling",
  "warming",
  "serving",
  "draining",
  "backing-off",
  "quarantined",
] as const;
export type State = (typeof STATES)[number];

export type StateEvent =
  | "install"
  | "fetched"
  | "compiled"
  | "warmed"
  | "failed"
  | "stopped"
  | "retry"
  | "gaveUp"
  | "remove"
  | "drained";

type Row = Record<StateEvent, State>;

const stays = (state: State): Row => ({
  install: state,
  fetched: state,
  compiled: state,
  warmed: state,
  failed: state,
  stopped: state,
  retry: state,
  gaveUp: state,
  remove: state,
  drained: state,
});

export const TRANSITIONS: Record<State, Row> = {
  absent: { ...stays("absent"), install: "fetching" },
  fetching: { ...stays("fetching"), fetched: "compiling", failed: "backing-off", remove: "draining" },
  compiling: { ...stays("compiling"), compiled: "warming", failed: "backing-off", remove: "draining" },
  warming: { ...stays("warming"), warmed: "serving", failed: "backing-off", remove: "draining" },
  serving: { ...stays("serving"), stopped: "backing-off", failed: "backing-off", remove: "draining" },
  draining: { ...stays("draining"), drained: "absent" },
  "backing-off": { ...stays("backing-off"), retry: "fetching", gaveUp: "quarantined", remove: "draining" },
  quarantined: { ...stays("quarantined"), remove: "draining" },
};

export const next = (state: State, event: StateEvent): State => TRANSITIONS[state][event];
