import assert from "node:assert/strict";
import { test } from "node:test";
import { next, STATES, type State, type StateEvent, TRANSITIONS } from "./states.ts";

const after = (...events: StateEvent[]): State => events.reduce<State>(next, "absent");

test("every state answers every event with a state", () => {
  for (const state of STATES) {
    for (const target of Object.values(TRANSITIONS[state])) assert.ok(STATES.includes(target));
  }
});

test("a plugin is fetched, compiled and warmed before it serves", () => {
  assert.equal(after("install", "fetched", "compiled", "warmed"), "serving");
  assert.equal(after("install", "compiled", "warmed"), "fetching");
});

test("what stopped backs off, and comes again or is given up", () => {
  const stopped = ["install", "fetched", "compiled", "warmed", "stopped"] as const;
  assert.equal(after(...stopped), "backing-off");
  assert.equal(after(...stopped, "retry", "fetched", "compiled", "warmed"), "serving");
  assert.equal(after(...stopped, "gaveUp"), "quarantined");
  assert.equal(after(...stopped, "gaveUp", "retry"), "quarantined");
});

test("every loaded state can be drained to absent", () => {
  for (const state of STATES) {
    if (state !== "absent") assert.equal(next(next(state, "remove"), "drained"), "absent");
  }
});
