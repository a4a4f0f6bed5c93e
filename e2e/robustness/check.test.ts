/** The checker finds what it is there to find. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { check, type History } from "./check.ts";

const good = (): { -readonly [K in keyof History]: History[K] extends readonly (infer T)[] ? T[] : never } => ({
  facts: [
    { revision: 5, type: "added", name: "key-1", uid: "u", op: "op-1" },
    { revision: 7, type: "modified", name: "key-1", uid: "u", op: "op-2" },
    { revision: 9, type: "deleted", name: "key-1", uid: "u", op: "op-2" },
  ],
  writes: [
    { op: "op-1", type: "create", name: "key-1", started: 0, ended: 1, outcome: "done", revision: 5 },
    {
      op: "op-2",
      type: "update",
      name: "key-1",
      expected: { uid: "u", revision: 5 },
      started: 2,
      ended: 3,
      outcome: "done",
      revision: 7,
    },
    {
      op: "op-3",
      type: "delete",
      name: "key-1",
      expected: { uid: "u", revision: 7 },
      started: 4,
      ended: 5,
      outcome: "done",
    },
  ],
  reads: [
    { type: "get", name: "key-1", started: 2, ended: 4, revision: 5 },
    { type: "list", started: 3.5, ended: 4, revision: 8, items: new Map([["key-1", 7]]) },
    { type: "get", name: "key-1", started: 6, ended: 7 },
  ],
  watches: [
    {
      start: 5,
      reached: 9,
      expired: false,
      events: [
        { type: "modified", name: "key-1", revision: 7, op: "op-2" },
        { type: "deleted", name: "key-1", revision: 9, op: "op-2" },
      ],
    },
  ],
});

const cases: Record<string, [change: (history: ReturnType<typeof good>) => unknown, finds: RegExp]> = {
  "a lost write": [(h) => h.facts.splice(1, 1), /op-2 was acknowledged at 7, the log has it at no place/],
  "a write applied twice": [
    (h) => h.facts.splice(2, 0, { revision: 8, type: "modified", name: "key-1", uid: "u", op: "op-2" }),
    /applied twice/,
  ],
  "a refused write that happened": [(h) => (h.writes[1]!.outcome = "refused"), /refused and yet applied/],
  "a lost compare-and-swap": [(h) => (h.writes[1]!.expected = { uid: "u", revision: 4 }), /expected 4 and replaced 5/],
  "a lost deletion": [(h) => h.facts.pop(), /acknowledged deletion is lost/],
  "a deletion of what came later": [
    (h) => (h.writes[2]!.expected = { uid: "u", revision: 5 }),
    /op-3 expected 5 and deleted 7/,
  ],
  "a write before its time": [(h) => Object.assign(h.writes[0]!, { started: 3.5, ended: 4 }), /op-1 began after 7/],
  "a stale read": [
    (h) => (h.reads[0] = { type: "get", name: "key-1", started: 3.5, ended: 4, revision: 5 }),
    /though 7 was known/,
  ],
  "a list that mixes revisions": [
    (h) => (h.reads[1] = { type: "list", started: 3.5, ended: 4, revision: 8, items: new Map([["key-1", 5]]) }),
    /list of 8 has key-1 at 5/,
  ],
  "a missed event": [(h) => h.watches[0]!.events.shift(), /event 0 is deleted .* the log has modified/],
  "an event twice": [(h) => h.watches[0]!.events.unshift({ ...h.watches[0]!.events[0]! }), /event 1 is modified/],
};

test("a history without fault has no violations", () => assert.deepEqual(check(good()), []));
for (const [name, [change, finds]] of Object.entries(cases))
  test(`the checker finds ${name}`, () => {
    const history = good();
    change(history);
    assert.match(check(history).join("\n"), finds);
  });
