/** What clients did and saw, and what the database's log says happened. Times are milliseconds of one monotonic clock. */
export type Operation = "create" | "update" | "overwrite" | "patch" | "delete";

export interface WriteRecord {
  /** Unique; written into the object. */
  op: string;
  type: Operation;
  name: string;
  expected?: { uid: string; revision: number };
  started: number;
  /** Infinity: never answered, it may happen at any time. */
  ended: number;
  outcome: "done" | "refused" | "unknown";
  /** Of the answer; deletions have none. */
  revision?: number;
}

export type ReadRecord =
  /** `revision` unset: the object was not there. */
  | { type: "get"; name: string; started: number; ended: number; revision?: number }
  | { type: "list"; started: number; ended: number; revision: number; items: ReadonlyMap<string, number> };

export interface WatchRecord {
  /** Events after this revision were asked for. */
  start: number;
  /** The newest revision it was told of, by an event or a bookmark. */
  reached: number;
  events: { type: string; name: string; revision: number; op: string }[];
  /** It was told 410 and has nothing more to expect. */
  expired: boolean;
  wake?: () => void;
}

/** One row of the log. */
export interface Fact {
  revision: number;
  type: "added" | "modified" | "deleted";
  name: string;
  uid: string;
  /** Of the write that made the version; of a deletion, of the version that was deleted. */
  op: string;
}
