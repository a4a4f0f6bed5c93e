/**
 * Objects that are kept for a time after their last write (Events: kube-apiserver's --event-ttl, an hour). Any number of processes may
 * do it at once: each deletion is a compare-and-swap, so an object that was written again meanwhile stays, and is logged, so
 * that watchers see it go. Relaxed: what a crash brings back expires again.
 */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Revision, StoredObject, Write, WriteResult } from "./port.ts";

export interface ExpiryParts {
  /** resource → milliseconds after the last write. */
  ages: Readonly<Record<string, number>>;
  /** All revisions up to the answer are older than `ageMs`; 0 when none is known to be. */
  revisionBefore(ageMs: number): Promise<Revision>;
  lastWrittenBefore(resource: string, revision: Revision, limit: number): StoredObject[];
  write(write: Write): Promise<WriteResult>;
  log: Log;
}

/** Deleted at once; they share a few transactions. */
const AT_ONCE = 200;
const ROUND_MS = 60_000;

/** One round; returns how many objects it deleted. */
export async function expire(parts: ExpiryParts, signal?: AbortSignal): Promise<number> {
  let deleted = 0;
  for (const [resource, ageMs] of Object.entries(parts.ages)) {
    const upTo = await parts.revisionBefore(ageMs);
    if (upTo === 0) continue;
    for (;;) {
      const old = parts.lastWrittenBefore(resource, upTo, AT_ONCE);
      if (old.length === 0 || signal?.aborted) break;
      const results = await Promise.all(old.map((object) => parts.write(deletionOf(object))));
      deleted += results.filter((result) => result.ok).length;
      // Our own memory may not show these deletions yet, or others were faster: the next round sees.
      if (old.length < AT_ONCE || results.some((result) => !result.ok)) break;
      await delay(100, signal);
    }
  }
  return deleted;
}

const deletionOf = ({ key, uid, revision, document, labels, fields }: StoredObject): Write => ({
  operations: [
    {
      type: "delete",
      key,
      object: { uid, document, labels: { ...labels }, fields: { ...fields }, terminating: false },
      expected: { uid, revision },
    },
  ],
  relaxed: true,
});

export async function keepExpiring(parts: ExpiryParts, signal: AbortSignal): Promise<void> {
  // Several processes share the work by not starting at the same moment.
  for (await delay(Math.random() * ROUND_MS, signal); !signal.aborted; await delay(ROUND_MS, signal))
    try {
      await expire(parts, signal);
    } catch (error) {
      parts.log.warn("old objects could not be deleted; trying again", { error: messageOf(error) });
    }
}
