/** Validation of events (pkg/apis/core/validation/events.go): strict for those that come by events.k8s.io, whose paths are core's. */
import type { Event } from "#sdk/api/generated/types.ts";
import { isQualifiedName } from "#sdk/api/names.ts";
import { type Causes, invalidValue, required } from "../../../registry/causes.ts";
import { type GoField, goValue } from "../../../registry/go-names.ts";
import { each, immutable } from "../../checks.ts";

const LENGTHS = { reportingInstance: 128, action: 128, reason: 128, message: 1024 };
const SOURCE: readonly GoField[] = [
  { go: "Component", json: "component", zero: "" },
  { go: "Host", json: "host", zero: "" },
];
const REFERENCE: readonly GoField[] = [
  { go: "Kind", json: "kind", zero: "" },
  { go: "Namespace", json: "namespace", zero: "" },
  { go: "Name", json: "name", zero: "" },
  { go: "UID", json: "uid", zero: "" },
  { go: "APIVersion", json: "apiVersion", zero: "" },
  { go: "ResourceVersion", json: "resourceVersion", zero: "" },
  { go: "FieldPath", json: "fieldPath", zero: "" },
];
type Fixed = Exclude<keyof Event, "metadata" | "series" | "kind" | "apiVersion">;

/** What stays as it was, in upstream's order, how it is told of and what it is when it is absent. */
const UNCHANGED: readonly [field: Fixed, absent: "" | 0 | null, of?: readonly GoField[]][] = [
  ["involvedObject", null, REFERENCE],
  ["reason", ""],
  ["message", ""],
  ["source", null, SOURCE],
  ["firstTimestamp", null],
  ["lastTimestamp", null],
  ["count", 0],
  ["reason", ""],
  ["type", ""],
  ["eventTime", null],
  ["action", ""],
  ["related", null, REFERENCE],
];

/** As Go holds it: structs are never absent. */
const shown = (event: Event, [field, absent, of]: (typeof UNCHANGED)[number]): unknown =>
  of && (event[field] || field !== "related") ? goValue(event[field] ?? {}, of) : (event[field] ?? absent);

/** What holds in both groups. Events of the newer form say when they happened, and by whom they were reported. */
export function validateEvent(event: Event, isCore: boolean): Causes {
  const { metadata, involvedObject, eventTime } = event;
  const [namespace = "", own = ""] = [involvedObject?.namespace, metadata.namespace];
  const mismatch = [invalidValue("involvedObject.namespace", namespace, "does not match event.namespace")];
  if (!eventTime) {
    const fits = namespace === "" ? own === "" || own === "default" : own === namespace;
    return fits ? [] : mismatch;
  }
  const reporter = isCore ? "reportingComponent" : "reportingController";
  const causes: Causes = namespace === "" && own !== "default" && own !== "kube-system" ? mismatch : [];
  const { reportingComponent: component = "" } = event;
  if (component === "") causes.push(required(reporter));
  causes.push(...each(isQualifiedName(component), reporter, component));
  for (const field of ["reportingInstance", "action", "reason", "message"] as const) {
    const text = event[field] ?? "";
    if (text === "" && field !== "message") causes.push(required(field));
    if (Buffer.byteLength(text) > LENGTHS[field])
      causes.push(invalidValue(field, "", `can have at most ${LENGTHS[field]} characters`));
  }
  return causes;
}

function validateSeries({ series }: Event): Causes {
  if (!series) return [];
  return [
    ...((series.count ?? 0) < 2 ? [invalidValue("series.count", "", "should be at least 2")] : []),
    ...(series.lastObservedTime ? [] : [required("series.lastObservedTime")]),
  ];
}

/** Of what is created by events.k8s.io, in core's form. */
export function validateNewEvent(event: Event): Causes {
  const { type = "", firstTimestamp, lastTimestamp, count, source } = event;
  const unset = (field: string, value: unknown) => (value ? [invalidValue(field, "", "needs to be unset")] : []);
  return [
    ...validateEvent(event, false),
    ...validateSeries(event),
    ...(event.eventTime ? [] : [required("eventTime")]),
    ...(type === "Normal" || type === "Warning" ? [] : [invalidValue("type", "", `has invalid value: ${type}`)]),
    ...unset("firstTimestamp", firstTimestamp),
    ...unset("lastTimestamp", lastTimestamp),
    ...unset("count", count),
    ...unset("source", source?.component || source?.host),
  ];
}

/** Only the series of such an event goes on. */
export function validateNewEventUpdate(next: Event, old: Event): Causes {
  return [
    ...validateEvent(next, false),
    ...(JSON.stringify(next.series) === JSON.stringify(old.series) ? [] : validateSeries(next)),
    ...UNCHANGED.flatMap((one) => immutable(one[0], shown(next, one), shown(old, one))),
    ...immutable("reportingController", next.reportingComponent ?? "", old.reportingComponent ?? ""),
    ...immutable("reportingInstance", next.reportingInstance ?? "", old.reportingInstance ?? ""),
  ];
}
