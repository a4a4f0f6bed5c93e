/**
 * What the watch cache is at, and what may happen to it.
 *
 *   state      loaded       gap          closing
 *   loading    following    loading      closed      reading a snapshot; readers wait
 *   following  (a bug)      loading      closed      the log is applied as it comes; readers are served from memory
 *   closed     closed       closed       closed
 */
export type State = "loading" | "following" | "closed";
export type Event = "loaded" | "gap" | "closing";

const TABLE: Record<State, Record<Event, State | "bug">> = {
  loading: { loaded: "following", gap: "loading", closing: "closed" },
  following: { loaded: "bug", gap: "loading", closing: "closed" },
  closed: { loaded: "closed", gap: "closed", closing: "closed" },
};

export function next(state: State, event: Event): State {
  const after = TABLE[state][event];
  if (after === "bug") throw new Error(`the watch cache got "${event}" while ${state}`);
  return after;
}
