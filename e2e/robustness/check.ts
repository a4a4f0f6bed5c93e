/**
 * Holds what clients saw against what the log says happened. The log has one total order, so linearizability needs no search: a write
 * happened at its revision, which must lie between the revisions known before it began and those that began after it ended.
 */
import type { Fact, ReadRecord, WatchRecord, WriteRecord } from "./record.ts";

export interface History {
  /** In the order of revisions. */
  facts: readonly Fact[];
  writes: readonly WriteRecord[];
  reads: readonly ReadRecord[];
  watches: readonly WatchRecord[];
}

/** Violations in words; empty when all is well. */
export function check(history: History): string[] {
  return [
    ...checkWrites(history),
    ...checkReads(history),
    ...history.watches.flatMap((w, i) => checkWatch(w, i, history.facts)),
  ];
}

const byKey = (facts: readonly Fact[]): Map<string, Fact[]> => Map.groupBy(facts, (fact) => fact.name);

function checkWrites({ facts, writes }: History): string[] {
  const bad: string[] = [];
  const known = new Map(writes.map((write) => [write.op, write]));
  const made = new Map<string, Fact>();
  const before = new Map<string, Fact>();
  for (const fact of facts) {
    const previous = before.get(fact.name);
    before.set(fact.name, fact);
    const present = previous && previous.type !== "deleted" ? previous : undefined;
    if ((fact.type === "added") === (present !== undefined))
      bad.push(`${fact.name} was ${fact.type} at ${fact.revision}, out of turn`);
    if (fact.type === "deleted") continue;
    const write = known.get(fact.op);
    if (!write) {
      bad.push(`nobody wrote ${fact.op} of ${fact.name} at ${fact.revision}`);
      continue;
    }
    if (made.has(fact.op))
      bad.push(`${fact.op} was applied twice: at ${made.get(fact.op)?.revision} and ${fact.revision}`);
    made.set(fact.op, fact);
    if (write.outcome === "refused") bad.push(`${fact.op} was refused and yet applied at ${fact.revision}`);
    if (write.expected && present?.revision !== write.expected.revision)
      bad.push(
        `${fact.op} expected ${write.expected.revision} and replaced ${present?.revision ?? "nothing"} at ${fact.revision}`,
      );
  }
  const deleted = deletions(facts);
  for (const write of writes) {
    if (write.outcome !== "done") continue;
    if (write.type === "delete") {
      const { uid = "", revision } = write.expected ?? {};
      if (write.expected && !deleted.has(uid)) bad.push(`${write.op}: an acknowledged deletion is lost`);
      else if (write.expected && deleted.get(uid) !== revision)
        bad.push(`${write.op} expected ${revision} and deleted ${deleted.get(uid)}`);
    } else if (made.get(write.op)?.revision !== write.revision)
      bad.push(
        `${write.op} was acknowledged at ${write.revision}, the log has it at ${made.get(write.op)?.revision ?? "no place"}`,
      );
  }
  return bad.concat(checkOrder(writes, made));
}

/** uid → the revision that was deleted. */
function deletions(facts: readonly Fact[]): Map<string, number> {
  const last = new Map<string, number>();
  const deleted = new Map<string, number>();
  for (const { type, uid, revision } of facts)
    if (type === "deleted") deleted.set(uid, last.get(uid) ?? 0);
    else last.set(uid, revision);
  return deleted;
}

/** Whatever ended before something else began has the smaller revision. */
function checkOrder(writes: readonly WriteRecord[], made: ReadonlyMap<string, Fact>): string[] {
  const floor = floorOf(writes, []);
  return writes.flatMap((write) => {
    const at = made.get(write.op)?.revision;
    const least = floor(write.started);
    return at !== undefined && at <= least ? [`${write.op} began after ${least} was known and happened at ${at}`] : [];
  });
}

/** The newest revision that somebody had been told of before a moment. */
function floorOf(writes: readonly WriteRecord[], reads: readonly ReadRecord[]): (moment: number) => number {
  const told = [...writes.filter((write) => write.outcome === "done"), ...reads]
    .flatMap(({ ended, revision }) => (revision === undefined ? [] : [{ ended, revision }]))
    .sort((a, b) => a.ended - b.ended);
  let newest = 0;
  for (const one of told) one.revision = newest = Math.max(newest, one.revision);
  return (moment) => told[leading(told, (one) => one.ended < moment) - 1]?.revision ?? 0;
}

/** How many at the head of a sorted list hold. */
function leading<T>(sorted: readonly T[], holds: (one: T) => boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(sorted[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Where the last change up to a revision is; -1 where there is none. */
const lastUpTo = (facts: readonly Fact[], revision: number): number =>
  leading(facts, (fact) => fact.revision <= revision) - 1;

function checkReads({ facts, writes, reads }: History): string[] {
  const bad: string[] = [];
  const floor = floorOf(writes, reads);
  const keys = byKey(facts);
  for (const read of reads) {
    const least = floor(read.started);
    if (read.type === "list") {
      if (read.revision < least) bad.push(`a list of ${read.revision} came after ${least} was known`);
      for (const [name, all] of keys) {
        const then = all[lastUpTo(all, read.revision)];
        const expected = then?.type === "deleted" ? undefined : then?.revision;
        if (read.items.get(name) !== expected)
          bad.push(`a list of ${read.revision} has ${name} at ${read.items.get(name)}, the log at ${expected}`);
      }
      continue;
    }
    const all = keys.get(read.name) ?? [];
    const at = lastUpTo(all, read.revision ?? 0);
    const named = all[at];
    if (read.revision !== undefined && (named?.revision !== read.revision || named.type === "deleted"))
      bad.push(`a read of ${read.name} has ${read.revision}, which the log has not`);
    // Absence is fresh when the key was absent at the floor, or was deleted at some time after it.
    const fresh =
      read.revision !== undefined
        ? (all[at + 1]?.revision ?? Number.POSITIVE_INFINITY) > least
        : (all[lastUpTo(all, least)]?.type ?? "deleted") === "deleted" ||
          all.slice(lastUpTo(all, least) + 1).some((fact) => fact.type === "deleted");
    if (!fresh) bad.push(`a read of ${read.name} has ${read.revision ?? "nothing"} though ${least} was known`);
  }
  return bad;
}

function checkWatch(watch: WatchRecord, index: number, facts: readonly Fact[]): string[] {
  const expected = facts.filter((fact) => fact.revision > watch.start && fact.revision <= watch.reached);
  const text = (e: { revision: number; type: string; name: string; op: string }) =>
    `${e.type} ${e.name} ${e.op} at ${e.revision}`;
  const at = expected.findIndex((fact, i) => !watch.events[i] || text(watch.events[i]) !== text(fact));
  if (at < 0 && watch.events.length === expected.length) return [];
  const place = at < 0 ? expected.length : at;
  const [told, log] = [watch.events[place], expected[place]];
  return [
    `watch ${index} from ${watch.start}: event ${place} is ${told ? text(told) : "missing"}, the log has ${log ? text(log) : "none"}`,
  ];
}
