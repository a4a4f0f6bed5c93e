import assert from "node:assert/strict";
import { test } from "node:test";
import { SortedNames } from "./sorted-names.ts";

/** Park and Miller's generator: a failure repeats. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

test("sorted names are those of a sorted array, whatever is added and removed in whatever order", () => {
  for (const seed of [1, 7, 4711]) {
    const below = numbers(seed);
    const names = new SortedNames();
    const naive = new Set<string>();
    for (let i = 0; i < 6000; i++) {
      // Ascending at first, as loading is, then anywhere; later more goes than comes.
      const name = i < 1500 ? `n${String(i * 3).padStart(6, "0")}` : `n${String(below(9000)).padStart(6, "0")}`;
      if (below(10) < (i < 4000 ? 8 : 3)) assert.equal(names.add(name), !naive.has(name) && Boolean(naive.add(name)));
      else assert.equal(names.remove(name), naive.delete(name));
      if (i % 500 !== 0) continue;
      const sorted = [...naive].sort();
      assert.deepEqual([...names], sorted);
      assert.equal(names.length, sorted.length);
      const after = `n${String(below(9000)).padStart(6, "0")}`;
      const rest = sorted.filter((each) => each > after);
      assert.deepEqual([...names.after(after)], rest);
      assert.equal(names.countAfter(after), rest.length);
    }
    for (const name of [...naive]) assert.ok(names.remove(name));
    assert.deepEqual([...names], []);
    assert.equal(names.countAfter(""), 0);
  }
});
