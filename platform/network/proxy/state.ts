/**
 * The desired rules of all services, kept per service, so that a change costs what changed and not what there is.
 * Two services may want the same element (an external IP with the same port): the one whose key sorts first has it, so
 * whoever shares an element with a changed service is looked at again with it.
 */
import type { Fragment } from "./render.ts";
import { diff, merge, type Ruleset } from "./ruleset.ts";

export interface UdpChange {
  /** "address:port" of the service. */
  service: string;
  /** Endpoints "address:port" that it no longer has. */
  gone: string[];
  /** It had no endpoint before, so flows to it may have been recorded without one. */
  first: boolean;
}

export interface Change {
  script: string;
  udp: UdpChange[];
  /** Makes this change the present state; call it once the script has run. */
  commit(): void;
}

export class ServiceRules {
  private readonly fragments = new Map<string, Fragment>();
  /** "set key" → services that want it. */
  private readonly wanted = new Map<string, Set<string>>();
  private readonly table: string;
  private readonly shared: ReadonlySet<string>;

  constructor(table: string, shared: ReadonlySet<string>) {
    this.table = table;
    this.shared = shared;
  }

  /** The whole of what should be in the table. */
  all(base: Ruleset): Ruleset {
    return merge([base, ...this.inOrder(this.fragments.keys(), (key) => this.fragments.get(key))]);
  }

  clear(): void {
    this.fragments.clear();
    this.wanted.clear();
  }

  /** `undefined` for a service that is gone or needs no rules. */
  change(updates: ReadonlyMap<string, Fragment | undefined>): Change {
    const involved = this.involved(updates);
    const after = (key: string) => (updates.has(key) ? updates.get(key) : this.fragments.get(key));
    const before = (key: string) => this.fragments.get(key);
    const script = diff(
      this.table,
      merge(this.inOrder(involved, before)),
      merge(this.inOrder(involved, after)),
      this.shared,
    );
    return { script, udp: udpChanges(updates, before), commit: () => this.commit(updates) };
  }

  private *inOrder(keys: Iterable<string>, find: (key: string) => Fragment | undefined): Generator<Ruleset> {
    for (const key of [...keys].sort()) {
      const fragment = find(key);
      if (fragment) yield fragment.ruleset;
    }
  }

  private involved(updates: ReadonlyMap<string, Fragment | undefined>): Set<string> {
    const involved = new Set(updates.keys());
    // A set grows while it is iterated: neighbours of neighbours are reached too.
    for (const key of involved)
      for (const fragment of [this.fragments.get(key), updates.get(key)])
        for (const element of elementsOf(fragment))
          for (const other of this.wanted.get(element) ?? []) involved.add(other);
    return involved;
  }

  private commit(updates: ReadonlyMap<string, Fragment | undefined>): void {
    for (const [key, fragment] of updates) {
      for (const element of elementsOf(this.fragments.get(key))) {
        const owners = this.wanted.get(element);
        owners?.delete(key);
        if (owners?.size === 0) this.wanted.delete(element);
      }
      if (!fragment) this.fragments.delete(key);
      else {
        this.fragments.set(key, fragment);
        for (const element of elementsOf(fragment)) {
          const owners = this.wanted.get(element);
          if (owners) owners.add(key);
          else this.wanted.set(element, new Set([key]));
        }
      }
    }
  }
}

function* elementsOf(fragment: Fragment | undefined): Generator<string> {
  for (const [name, set] of fragment?.ruleset.sets ?? []) for (const key of set.elements.keys()) yield `${name} ${key}`;
}

function udpChanges(
  updates: ReadonlyMap<string, Fragment | undefined>,
  before: (key: string) => Fragment | undefined,
): UdpChange[] {
  const changes: UdpChange[] = [];
  for (const [key, fragment] of updates) {
    const old = before(key)?.udp ?? new Map<string, Set<string>>();
    const now = fragment?.udp ?? new Map<string, Set<string>>();
    for (const service of new Set([...old.keys(), ...now.keys()])) {
      const had = old.get(service) ?? new Set<string>();
      const has = now.get(service) ?? new Set<string>();
      const gone = [...had].filter((endpoint) => !has.has(endpoint));
      const first = had.size === 0 && has.size > 0;
      if (gone.length > 0 || first) changes.push({ service, gone, first });
    }
  }
  return changes;
}
