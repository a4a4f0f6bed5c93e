import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "#sdk/api/generated/types.ts";
import { validateEvent, validateNewEvent, validateNewEventUpdate } from "./validation.ts";

const event = (more: Partial<Event> = {}): Event => ({
  metadata: { name: "e", namespace: "team" },
  involvedObject: { kind: "Pod", namespace: "team", name: "p" },
  reason: "Pulled",
  type: "Normal",
  ...more,
});
const newer = (more: Partial<Event> = {}): Event =>
  event({
    eventTime: "2026-01-01T00:00:00.000000Z",
    reportingComponent: "example.com/robot",
    reportingInstance: "robot-1",
    action: "Pull",
    ...more,
  });
const told = (causes: readonly { field?: string; reason?: string }[]) =>
  causes.map(({ field, reason }) => `${field} ${reason?.replace("FieldValue", "")}`);

test("an event is in the namespace of what it is about", () => {
  deepEqual(told(validateEvent(event(), true)), []);
  const elsewhere = { involvedObject: { kind: "Pod", namespace: "other", name: "p" } };
  deepEqual(told(validateEvent(event(elsewhere), true)), ["involvedObject.namespace Invalid"]);
  deepEqual(told(validateEvent(event({ involvedObject: { kind: "Node" } }), true)), [
    "involvedObject.namespace Invalid",
  ]);
});

test("by events.k8s.io an event says when, by whom and what, and nothing of the older form", () => {
  deepEqual(told(validateNewEvent(newer())), []);
  deepEqual(told(validateNewEvent(newer({ reportingComponent: "", action: "", reason: "x".repeat(129) }))), [
    "reportingController Required",
    "reportingController Invalid",
    "reportingController Invalid",
    "action Required",
    "reason Invalid",
  ]);
  deepEqual(told(validateNewEvent(event({ type: "Odd", count: 2, source: { component: "kubelet" } }))), [
    "eventTime Required",
    "type Invalid",
    "count Invalid",
    "source Invalid",
  ]);
  deepEqual(told(validateNewEvent(newer({ series: { count: 1 } }))), [
    "series.count Invalid",
    "series.lastObservedTime Required",
  ]);
});

test("of such an event only the series goes on", () => {
  const series = { count: 3, lastObservedTime: "2026-01-01T00:00:01.000000Z" };
  deepEqual(told(validateNewEventUpdate(newer({ series }), newer())), []);
  deepEqual(told(validateNewEventUpdate(newer({ message: "else", action: "Push" }), newer())), [
    "message Invalid",
    "action Invalid",
  ]);
});
