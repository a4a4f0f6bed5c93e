/**
 * The desired rules of one table, kept per part (a service, a policy, a pod's address), so that a change costs what changed and not what
 * there is. Two parts may want the same element of a shared set (an external IP with the same port): the one whose key sorts first has it,
 * so whoever shares an element with a changed part is looked at again with it.
 */
import { diff, merge, type Ruleset } from "./ruleset.ts";

export interface Part {
  ruleset: Ruleset;
}

/** `undefined` for a part that is gone or needs no rules. */
export type Updates<P extends Part> = ReadonlyMap<string, P | undefined>;

export interface Change<P extends Part> {
  /** One transaction; "" when nothing changes. */
  script: string;
  /** What the changed parts were. */
  before(key: string): P | undefined;
  /** Makes this change the present state; call it once the script has run. */
  commit(): void;
}

export class RuleParts<P extends Part> {
  private readonly parts = new Map<string, P>();
  /** "set key" → parts that want it. */
  private readonly wanted = new Map<string, Set<string>>();
  private readonly table: string;
  private readonly shared: ReadonlySet<string>;

  /** `table` with its family: "ip NAME". `shared`: the sets that several parts fill; every other set and every chain has one owner. */
  constructor(table: string, shared: ReadonlySet<string>) {
    this.table = table;
    this.shared = shared;
  }

  /** The whole of what should be in the table. */
  all(base: Ruleset): Ruleset {
    return merge([base, ...this.inOrder(this.parts.keys(), (key) => this.parts.get(key))]);
  }

  clear(): void {
    this.parts.clear();
    this.wanted.clear();
  }

  change(updates: Updates<P>): Change<P> {
    const involved = this.involved(updates);
    const old = new Map([...updates.keys()].map((key) => [key, this.parts.get(key)]));
    const after = (key: string) => (updates.has(key) ? updates.get(key) : this.parts.get(key));
    const script = diff(
      this.table,
      merge(this.inOrder(involved, (key) => this.parts.get(key))),
      merge(this.inOrder(involved, after)),
      this.shared,
    );
    return { script, before: (key) => old.get(key), commit: () => this.commit(updates) };
  }

  private *inOrder(keys: Iterable<string>, find: (key: string) => P | undefined): Generator<Ruleset> {
    for (const key of [...keys].sort()) {
      const part = find(key);
      if (part) yield part.ruleset;
    }
  }

  private involved(updates: Updates<P>): Set<string> {
    const involved = new Set(updates.keys());
    // A set grows while it is iterated: neighbours of neighbours are reached too.
    for (const key of involved)
      for (const part of [this.parts.get(key), updates.get(key)])
        for (const element of this.elementsOf(part))
          for (const other of this.wanted.get(element) ?? []) involved.add(other);
    return involved;
  }

  private commit(updates: Updates<P>): void {
    for (const [key, part] of updates) {
      for (const element of this.elementsOf(this.parts.get(key))) {
        const owners = this.wanted.get(element);
        owners?.delete(key);
        if (owners?.size === 0) this.wanted.delete(element);
      }
      if (!part) this.parts.delete(key);
      else {
        this.parts.set(key, part);
        for (const element of this.elementsOf(part)) {
          const owners = this.wanted.get(element);
          if (owners) owners.add(key);
          else this.wanted.set(element, new Set([key]));
        }
      }
    }
  }

  private *elementsOf(part: P | undefined): Generator<string> {
    for (const [name, set] of part?.ruleset.sets ?? [])
      if (this.shared.has(name)) for (const key of set.elements.keys()) yield `${name} ${key}`;
  }
}
