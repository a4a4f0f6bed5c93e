/**
 * autoscaling/v1 in terms of v2, which is what is stored (pkg/apis/autoscaling/v1/conversion.go). v1 knows a CPU target only; all else of v2
 * travels in annotations, as JSON in the words of the version before v2.
 */
import type { DynamicObject, Json, JsonObject } from "#sdk/api/object.ts";

const PREFIX = "autoscaling.alpha.kubernetes.io/";
const METRICS = `${PREFIX}metrics`;
const CURRENT = `${PREFIX}current-metrics`;
const CONDITIONS = `${PREFIX}conditions`;
const BEHAVIOR = `${PREFIX}behavior`;

type Fields = readonly (readonly [old: string, path: readonly string[]])[];
/** For each source: the name of a field in the annotation, and where it is in v2. */
const SPEC_FIELDS: Record<string, Fields> = {
  object: [
    ["target", ["describedObject"]],
    ["metricName", ["metric", "name"]],
    ["selector", ["metric", "selector"]],
    ["targetValue", ["target", "value"]],
    ["averageValue", ["target", "averageValue"]],
  ],
  pods: [
    ["metricName", ["metric", "name"]],
    ["selector", ["metric", "selector"]],
    ["targetAverageValue", ["target", "averageValue"]],
  ],
  external: [
    ["metricName", ["metric", "name"]],
    ["metricSelector", ["metric", "selector"]],
    ["targetValue", ["target", "value"]],
    ["targetAverageValue", ["target", "averageValue"]],
  ],
  resource: [
    ["name", ["name"]],
    ["targetAverageUtilization", ["target", "averageUtilization"]],
    ["targetAverageValue", ["target", "averageValue"]],
  ],
  containerResource: [
    ["name", ["name"]],
    ["container", ["container"]],
    ["targetAverageUtilization", ["target", "averageUtilization"]],
    ["targetAverageValue", ["target", "averageValue"]],
  ],
};
const STATUS_FIELDS: Record<string, Fields> = Object.fromEntries(
  Object.entries(SPEC_FIELDS).map(([source, fields]) => [
    source,
    fields.map(([old, path]) => [
      old === "target" ? old : old.replace(/^target/, "current").replace(/^averageValue$/, "currentAverageValue"),
      path[0] === "target" ? ["current", ...path.slice(1)] : path,
    ]),
  ]),
);

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function read(value: Json | undefined, path: readonly string[]): Json | undefined {
  return path.reduce<Json | undefined>((v, key) => (isObject(v) ? v[key] : undefined), value);
}

function write(into: JsonObject, path: readonly string[], value: Json): void {
  const [key = "", ...rest] = path;
  if (rest.length === 0) into[key] = value;
  else {
    const child = isObject(into[key]) ? into[key] : {};
    into[key] = child;
    write(child, rest, value);
  }
}

function targetType(target: JsonObject): string {
  if (target["averageUtilization"] !== undefined) return "Utilization";
  return target["averageValue"] !== undefined ? "AverageValue" : "Value";
}

/** One metric to the annotation's words. */
function toOld(metric: JsonObject, tables: Record<string, Fields>): JsonObject {
  const out: JsonObject = { type: metric["type"] ?? "" };
  for (const [source, fields] of Object.entries(tables)) {
    const value = metric[source];
    if (!isObject(value)) continue;
    const old: JsonObject = {};
    for (const [name, path] of fields) {
      const part = read(value, path);
      if (part !== undefined) old[name] = part;
    }
    out[source] = old;
  }
  return out;
}

function toNew(metric: JsonObject, tables: Record<string, Fields>): JsonObject {
  const out: JsonObject = { type: metric["type"] ?? "" };
  for (const [source, fields] of Object.entries(tables)) {
    const old = metric[source];
    if (!isObject(old)) continue;
    const value: JsonObject = {};
    for (const [name, path] of fields) if (old[name] !== undefined) write(value, path, old[name]);
    const target = value["target"];
    if (isObject(target)) target["type"] = targetType(target);
    out[source] = value;
  }
  return out;
}

/** An annotation that cannot be read is nobody's metrics. */
function parsed(text: string | undefined): Json | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

const list = (value: Json | undefined): JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : []);

const cpuOf = (metrics: readonly JsonObject[], target: string) =>
  metrics.find(
    (m) =>
      read(m, ["resource", "name"]) === "cpu" &&
      read(m, ["resource", target, "averageUtilization"]) !== undefined &&
      m["type"] === "Resource",
  );

/** `targetCPUUtilizationPercentage` is what v1 sets where no metric is asked for. */
export const CPU_UTILIZATION_FALLBACK = 80;

export const hasMetricsAnnotation = (object: DynamicObject): boolean =>
  list(parsed(object.metadata.annotations?.[METRICS])).length > 0;

function annotated(object: DynamicObject, extra: Record<string, Json | undefined>): DynamicObject["metadata"] {
  const annotations: Record<string, string> = {};
  for (const [key, value] of Object.entries(object.metadata.annotations ?? {}))
    if (!key.startsWith(PREFIX) || ![METRICS, CURRENT, CONDITIONS, BEHAVIOR].includes(key)) annotations[key] = value;
  for (const [key, value] of Object.entries(extra)) if (value !== undefined) annotations[key] = JSON.stringify(value);
  const { annotations: _, ...metadata } = object.metadata;
  return Object.keys(annotations).length > 0 ? { ...metadata, annotations } : metadata;
}

export function toV2(object: DynamicObject): DynamicObject {
  const { targetCPUUtilizationPercentage: percent, ...spec } = (object["spec"] ?? {}) as JsonObject;
  const { currentCPUUtilizationPercentage: present, ...status } = (object["status"] ?? {}) as JsonObject;
  const saved = object.metadata.annotations ?? {};
  const metrics = list(parsed(saved[METRICS])).map((m) => toNew(m, SPEC_FIELDS));
  const cpu = (name: string, value: Json): JsonObject => ({
    type: "Resource",
    resource: {
      name: "cpu",
      [name]: name === "target" ? { type: "Utilization", averageUtilization: value } : { averageUtilization: value },
    },
  });
  if (percent !== undefined && percent !== null) metrics.unshift(cpu("target", percent));
  const current = list(parsed(saved[CURRENT])).map((m) => toNew(m, STATUS_FIELDS));
  if (present !== undefined && present !== null && !cpuOf(current, "current")) current.unshift(cpu("current", present));
  const conditions = list(parsed(saved[CONDITIONS]));
  const behavior = parsed(saved[BEHAVIOR]);
  return {
    ...object,
    apiVersion: "autoscaling/v2",
    metadata: annotated(object, {}),
    spec: {
      ...spec,
      ...(metrics.length > 0 ? { metrics } : {}),
      ...(isObject(behavior) ? { behavior } : {}),
    },
    status: {
      ...status,
      ...(current.length > 0 ? { currentMetrics: current } : {}),
      ...(conditions.length > 0 ? { conditions } : {}),
    },
  } as DynamicObject;
}

export function toV1(object: DynamicObject): DynamicObject {
  const { metrics: all, behavior, ...spec } = (object["spec"] ?? {}) as JsonObject;
  const { currentMetrics, conditions, ...status } = (object["status"] ?? {}) as JsonObject;
  const metrics = list(all);
  const current = list(currentMetrics);
  const [cpu, present] = [cpuOf(metrics, "target"), cpuOf(current, "current")];
  const others = metrics.filter((m) => m !== cpu);
  const percent = read(cpu, ["resource", "target", "averageUtilization"]);
  const now = read(present, ["resource", "current", "averageUtilization"]);
  return {
    ...object,
    apiVersion: "autoscaling/v1",
    metadata: annotated(object, {
      [METRICS]: others.length > 0 ? others.map((m) => toOld(m, SPEC_FIELDS)) : undefined,
      [CURRENT]: current.length > 0 ? current.map((m) => toOld(m, STATUS_FIELDS)) : undefined,
      [CONDITIONS]: list(conditions).length > 0 ? conditions : undefined,
      [BEHAVIOR]: behavior,
    }),
    spec: { ...spec, ...(percent === undefined ? {} : { targetCPUUtilizationPercentage: percent }) },
    status: { ...status, ...(now === undefined ? {} : { currentCPUUtilizationPercentage: now }) },
  } as DynamicObject;
}
