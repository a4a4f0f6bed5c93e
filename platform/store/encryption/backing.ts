/** A backing store whose rows are sealed: nothing above it sees a sealed text, nothing below it a plain one that the rules name. */
import type { Backing, Follower, LogHandler, Position, Recent, RecentLimits, Snapshot } from "../backing.ts";
import type { Change, Operation, Revision, StoredObject, Write, WriteResult } from "../port.ts";
import { isSealed, SEALED_LABELS, type Sealing } from "./sealing.ts";

export class SealedBacking implements Backing {
  readonly #below: Backing;
  readonly #sealing: Sealing;

  constructor(below: Backing, sealing: Sealing) {
    this.#below = below;
    this.#sealing = sealing;
  }

  isStale(object: StoredObject): boolean {
    return this.#sealing.isStale(object);
  }

  async write(write: Write): Promise<WriteResult> {
    const touched = write.operations.some(({ key }) => this.#sealing.seals(key.resource));
    const result = await this.#below.write(touched ? await this.#sealed(write) : write);
    if (!result.ok && "current" in result && result.current)
      return { ...result, current: await this.#opened(result.current) };
    return result;
  }

  async #sealed(write: Write): Promise<Write> {
    const operations: Operation[] = [];
    for (const operation of write.operations)
      operations.push({ ...operation, object: await this.#sealing.seal(operation.key, operation.object) });
    return { ...write, operations };
  }

  position(): Promise<Position> {
    return this.#below.position();
  }

  async snapshot(signal: AbortSignal): Promise<Snapshot> {
    const { position, objects } = await this.#below.snapshot(signal);
    return { position, objects: this.#openedPages(objects) };
  }

  async *#openedPages(pages: Snapshot["objects"]): Snapshot["objects"] {
    for await (const page of pages)
      yield page.some(({ document }) => isSealed(document)) ? await this.#all(page) : page;
  }

  async #all(objects: readonly StoredObject[]): Promise<StoredObject[]> {
    const opened: StoredObject[] = [];
    for (const object of objects) opened.push(await this.#opened(object));
    return opened;
  }

  async #opened(object: StoredObject): Promise<StoredObject> {
    await this.#sealing.ready(object);
    return this.#sealing.open(object);
  }

  /** What the log keeps of keys that are gone for good is not read back: the history is complete from there on. */
  async recent(upTo: Revision, limits: RecentLimits): Promise<Recent> {
    const { floor, changes } = await this.#below.recent(upTo, limits);
    const opened: Change[] = [];
    for (const change of changes.toReversed()) {
      try {
        opened.push(await this.#openedChange(change));
      } catch {
        return { floor: change.revision, changes: opened.reverse() };
      }
    }
    return { floor, changes: opened.reverse() };
  }

  async #openedChange(change: Change): Promise<Change> {
    const { key } = change.object;
    const object = isSealed(change.object.document) ? await this.#opened(change.object) : change.object;
    if (!change.previous) return { ...change, object };
    await this.#sealing.indexReady(key, change.previous.labels);
    return { ...change, object, previous: this.#sealing.openIndex(key, change.previous) };
  }

  /** A change that cannot be opened is asked for again by the tail, until the key is there or the log is compacted past it. */
  follow(from: Position, handler: LogHandler): Follower {
    let closed = false;
    const follower = this.#below.follow(from, {
      changes: (changes, upTo) => {
        if (!changes.some(isTouched)) return handler.changes(changes, upTo);
        return this.#openedChanges(changes).then((opened) => {
          if (!closed) return handler.changes(opened, upTo);
        });
      },
      gap: (why) => handler.gap(why),
    });
    return {
      poke: (revision) => follower.poke(revision),
      close: () => {
        closed = true;
        return follower.close();
      },
    };
  }

  async #openedChanges(changes: readonly Change[]): Promise<Change[]> {
    const opened: Change[] = [];
    for (const change of changes) opened.push(isTouched(change) ? await this.#openedChange(change) : change);
    return opened;
  }
}

/** Sealed now, or before. A sealed index is the only label there is. */
const isTouched = ({ object, previous }: Change): boolean =>
  isSealed(object.document) || (previous !== undefined && previous.labels[SEALED_LABELS] !== undefined);
