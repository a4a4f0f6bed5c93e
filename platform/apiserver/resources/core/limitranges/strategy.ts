/** LimitRanges. What they say is kept by an admission component. */
import { randomUUID } from "node:crypto";
import type { LimitRange, LimitRangeItem } from "#sdk/api/generated/types.ts";
import { isQualifiedName } from "#sdk/api/names.ts";
import { compareQuantities, parseQuantity } from "#sdk/api/quantity.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, duplicate, forbiddenField, invalidValue, required } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { validateContainerResourceName, validateResourceName } from "../../resourceNames.ts";

const TYPES = ["Container", "PersistentVolumeClaim", "Pod"];

type Amounts = Record<string, string>;

function defaultItem(item: LimitRangeItem): void {
  if (item.type !== "Container") return;
  item.default = { ...(item.max as Amounts), ...(item.default as Amounts) };
  item.defaultRequest = { ...(item.min as Amounts), ...(item.default as Amounts), ...(item.defaultRequest as Amounts) };
  for (const field of ["default", "defaultRequest"] as const)
    if (Object.keys(item[field] ?? {}).length === 0) delete item[field];
}

const above = (a: string | undefined, b: string | undefined): boolean =>
  a !== undefined && b !== undefined && compareQuantities(parseQuantity(a), parseQuantity(b)) > 0;

function validateItem(item: LimitRangeItem, at: string): Causes {
  const causes: Causes = [];
  const type = item.type ?? "";
  const wrongType = isQualifiedName(type);
  for (const m of wrongType) causes.push(invalidValue(`${at}.type`, type, m));
  if (wrongType.length === 0 && !type.includes("/") && !TYPES.includes(type))
    causes.push(invalidValue(`${at}.type`, type, "must be a standard limit type or fully qualified"));
  const [min, max, preset, request] = [item.min, item.max, item.default, item.defaultRequest].map(
    (l) => (l ?? {}) as Amounts,
  );
  const named = type === "Pod" || type === "Container" ? validateContainerResourceName : validateResourceName;
  for (const field of ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] as const) {
    if (type === "Pod" && item[field] && field.startsWith("default"))
      causes.push(forbiddenField(`${at}.${field}`, "may not be specified when `type` is 'Pod'"));
    else for (const name of Object.keys(item[field] ?? {})) causes.push(...named(name, `${at}.${field}[${name}]`));
  }
  if (type === "PersistentVolumeClaim" && min?.["storage"] === undefined && max?.["storage"] === undefined) {
    const detail = "either minimum or maximum storage value is required, but neither was provided";
    causes.push(required(`${at}.limits`, detail));
  }
  const wrong = (field: string, name: string, value: string | undefined, than: string, word: string) =>
    causes.push(invalidValue(`${at}.${field}[${name}]`, value, `${word} ${than}`));
  for (const name of new Set(
    [min, max, preset, request, item.maxLimitRequestRatio].flatMap((l) => Object.keys(l ?? {})),
  )) {
    const [low, high, limit, ask] = [min?.[name], max?.[name], preset?.[name], request?.[name]];
    if (above(low, high)) wrong("min", name, low, `max value ${high}`, `min value ${low} is greater than`);
    if (above(low, ask))
      wrong("defaultRequest", name, ask, `default request value ${ask}`, `min value ${low} is greater than`);
    if (above(ask, high))
      wrong("defaultRequest", name, ask, `max value ${high}`, `default request value ${ask} is greater than`);
    if (above(ask, limit))
      wrong(
        "defaultRequest",
        name,
        ask,
        `default limit value ${limit}`,
        `default request value ${ask} is greater than`,
      );
    if (above(low, limit)) wrong("default", name, low, `default value ${limit}`, `min value ${low} is greater than`);
    if (above(limit, high)) wrong("default", name, high, `max value ${high}`, `default value ${limit} is greater than`);
    const ratio = (item.maxLimitRequestRatio as Amounts | undefined)?.[name];
    if (above("1", ratio)) wrong("maxLimitRequestRatio", name, ratio, "1", `ratio ${ratio} is less than`);
    if (ratio !== undefined && low !== undefined && high !== undefined) {
      const most = Number(parseQuantity(high).nano) / Number(parseQuantity(low).nano);
      if (Number(parseQuantity(ratio).nano) / 1e9 > most)
        wrong("maxLimitRequestRatio", name, ratio, `max/min = ${most.toFixed(6)}`, `ratio ${ratio} is greater than`);
    }
  }
  return causes;
}

export const limitRangeStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowCreateOnUpdate: true,
    applyDefaults(object) {
      for (const item of as<LimitRange>(object).spec?.limits ?? []) defaultItem(item);
    },
    prepareForCreate(object) {
      object.metadata.name ||= randomUUID();
    },
    validate(object) {
      const limits = as<LimitRange>(object).spec?.limits ?? [];
      const seen = new Set<string>();
      return limits.flatMap((item, i) => {
        const at = `spec.limits[${i}]`;
        const twice = seen.has(item.type ?? "") ? [duplicate(`${at}.type`, item.type)] : [];
        seen.add(item.type ?? "");
        return [...twice, ...validateItem(item, at)];
      });
    },
  });
