/** Events: one set of objects under two groups (core/v1 and events.k8s.io/v1), kept in core's form. */
import type { Event, EventsV1Event } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import { nameIsDNSSubdomain, nameIsPathSegment } from "../../../registry/names.ts";
import type { StorageForm, Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { validateEvent, validateNewEvent, validateNewEventUpdate } from "./validation.ts";

/** New name in events.k8s.io of a field that core calls otherwise. */
const RENAMED: [string, string][] = [
  ["regarding", "involvedObject"],
  ["note", "message"],
  ["reportingController", "reportingComponent"],
  ["deprecatedSource", "source"],
  ["deprecatedFirstTimestamp", "firstTimestamp"],
  ["deprecatedLastTimestamp", "lastTimestamp"],
  ["deprecatedCount", "count"],
];

function renamed(object: DynamicObject, apiVersion: string, names: readonly [string, string][]): DynamicObject {
  const out: DynamicObject = { ...object, apiVersion };
  for (const [from, to] of names) {
    if (!(from in object)) continue;
    out[to] = object[from];
    delete out[from];
  }
  return out;
}

const storage: StorageForm = {
  group: "",
  version: "v1",
  resource: "events",
  toStorage: (object) => renamed(object, "v1", RENAMED),
  fromStorage: (object) =>
    renamed(
      object,
      "events.k8s.io/v1",
      RENAMED.map(([a, b]) => [b, a]),
    ),
};

const FIELDS = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"] as const;

/** Rules and their paths are core's in both groups. */
const inCore = (object: DynamicObject) => as<Event>(storage.toStorage(object));

const RULES: Pick<Strategy, "validate" | "validateUpdate"> = {
  validate: (object) => validateNewEvent(inCore(object)),
  validateUpdate: (next, old) => validateNewEventUpdate(inCore(next), inCore(old)),
};

export const eventStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowCreateOnUpdate: true,
    // Whatever the group, refusals speak of core's kind.
    toldGroup: "",
    validateName: facts.group === "" ? nameIsPathSegment : nameIsDNSSubdomain,
    ...(facts.group === "" ? { validate: (object) => validateEvent(as<Event>(object), true) } : { ...RULES, storage }),
    fieldNames:
      facts.group === ""
        ? [...FIELDS.map((f) => `involvedObject.${f}`), "reason", "reportingComponent", "source", "type"]
        : [...FIELDS.map((f) => `regarding.${f}`), "reason", "reportingController", "type"],
    fields(object) {
      const event = object as unknown as Event & EventsV1Event;
      const about = (event.involvedObject ?? event.regarding ?? {}) as Record<string, string | undefined>;
      const reporter = event.reportingComponent ?? event.reportingController ?? "";
      const source = event.source?.component || event.reportingComponent || "";
      return {
        ...Object.fromEntries(FIELDS.map((f) => [`involvedObject.${f}`, about[f] ?? ""])),
        ...Object.fromEntries(FIELDS.map((f) => [`regarding.${f}`, about[f] ?? ""])),
        reason: event.reason ?? "",
        reportingComponent: reporter,
        reportingController: reporter,
        source,
        type: event.type ?? "",
      };
    },
    // S12: an event may be lost with the last moment before a crash.
    effects: async () => ({ relaxed: true }),
  });
