/**
 * A pod's life on this node.
 *
 *   running      its containers are kept as the pod asks
 *   finished     nothing of it runs or will again; the object stays until somebody deletes it
 *   terminating  everything is being stopped and taken down
 *   stopped      nothing is left on the node; the API is told so (final delete)
 *   gone         the object is gone too; the worker ends
 */
export type PodState = "running" | "finished" | "terminating" | "stopped" | "gone";

/**
 *   changed   the object changed      deleting  the object has a deletionTimestamp   vanished  the object is no more
 *   ended     it ran to its end, or the node refused it                              cleared   nothing is left on the node
 */
export type PodEvent = "changed" | "deleting" | "vanished" | "ended" | "cleared";

/** Total: whatever happens in whatever state has an answer. A pod that is being stopped never runs again. */
const table: Record<PodState, Record<PodEvent, PodState>> = {
  running: {
    changed: "running",
    deleting: "terminating",
    vanished: "terminating",
    ended: "finished",
    cleared: "running",
  },
  finished: {
    changed: "finished",
    deleting: "terminating",
    vanished: "terminating",
    ended: "finished",
    cleared: "finished",
  },
  terminating: {
    changed: "terminating",
    deleting: "terminating",
    vanished: "terminating",
    ended: "terminating",
    cleared: "stopped",
  },
  stopped: { changed: "stopped", deleting: "stopped", vanished: "gone", ended: "stopped", cleared: "stopped" },
  gone: { changed: "gone", deleting: "gone", vanished: "gone", ended: "gone", cleared: "gone" },
};

export const nextState = (state: PodState, event: PodEvent): PodState => table[state][event];
