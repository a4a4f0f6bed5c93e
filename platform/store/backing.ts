/** What the watch cache needs below it: where the truth is, its log, and the writes. store/postgres implements it. */
import type { Change, Revision, StoredObject, Write, WriteResult } from "./port.ts";

/** A place in the log. A new epoch means that what an older epoch's readers hold may never have been (S12). */
export interface Position {
  revision: Revision;
  epoch: number;
}

/** Everything that is, at one revision; pages in the order of keys. */
export interface Snapshot {
  position: Position;
  objects: AsyncIterable<readonly StoredObject[]>;
}

export interface RecentLimits {
  entriesMax: number;
  bytesMax: number;
}

export interface Recent {
  /** The changes are complete for every place from here on. */
  floor: Revision;
  /** In the order of the log. */
  changes: readonly Change[];
}

/** Called in the order of the log, never two at once. */
export interface LogHandler {
  /**
   * Every change after the last call's `upTo` up to this one's; `changes` may be empty. What it promises is waited for; when it fails, all comes
   * again. This process's own changes lack `previous`: the reader holds the state before.
   */
  changes(changes: readonly Change[], upTo: Revision): void | Promise<void>;
  /** The reader's place is gone (S5, S12). Nothing follows: load a snapshot and follow again. */
  gap(why: "compacted" | "epoch"): void;
}

export interface Follower {
  /** Look now instead of at the next hint or poll; with a revision, unless it has been read by then. */
  poke(revision?: Revision): void;
  close(): Promise<void>;
}

export interface Backing {
  /** Whether writing the object again as it is would store it otherwise (encryption by a newer key). Absent: never. */
  isStale?(object: StoredObject): boolean;
  write(write: Write): Promise<WriteResult>;
  /** Asked after the caller's request arrived; one question answers all who wait. Throws StatusError 503 without a database. */
  position(): Promise<Position>;
  /** Retries until it succeeds or the signal aborts. */
  snapshot(signal: AbortSignal): Promise<Snapshot>;
  /** The latest changes up to a revision, as many as the limits allow and the log still has. */
  recent(upTo: Revision, limits: RecentLimits): Promise<Recent>;
  /** Reconnects by itself, for ever, without losing its place. */
  follow(from: Position, handler: LogHandler): Follower;
}
