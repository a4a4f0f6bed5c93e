/**
 * What a loop has done and its informer has not shown yet (upstream: ControllerExpectations). Without it, a reconcile
 * that reads a cache from before its own creates would create again.
 */
export interface Expectations {
  expectCreations(key: string, count: number): void;
  expectDeletions(key: string, names: readonly string[]): void;
  created(key: string): void;
  deleted(key: string, name: string): void;
  /** True when everything was seen, or so long ago that waiting on would be worse than looking again. */
  satisfied(key: string): boolean;
  forget(key: string): void;
}

const TIMEOUT_MS = 300_000;

export function createExpectations(): Expectations {
  const expected = new Map<string, { creations: number; deletions: Set<string>; at: number }>();
  const entry = (key: string) => {
    const present = expected.get(key) ?? { creations: 0, deletions: new Set<string>(), at: 0 };
    present.at = performance.now();
    expected.set(key, present);
    return present;
  };
  return {
    expectCreations(key, count) {
      entry(key).creations += count;
    },
    expectDeletions(key, names) {
      const { deletions } = entry(key);
      for (const name of names) deletions.add(name);
    },
    created(key) {
      const e = expected.get(key);
      if (e) e.creations = Math.max(0, e.creations - 1);
    },
    deleted(key, name) {
      expected.get(key)?.deletions.delete(name);
    },
    satisfied(key) {
      const e = expected.get(key);
      return !e || (e.creations === 0 && e.deletions.size === 0) || performance.now() - e.at > TIMEOUT_MS;
    },
    forget: (key) => void expected.delete(key),
  };
}
