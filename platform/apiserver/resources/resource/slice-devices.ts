/** One device of a ResourceSlice: attributes, capacity, counters, taints and where it is (pkg/apis/resource/validation). */
import type { CounterSet, NodeSelector, ResourceSliceSpec } from "#sdk/api/generated/types.ts";
import { isLabelValue, isQualifiedName } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  tooLongValue,
  tooMany,
} from "../../registry/causes.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import { each, same, subdomain } from "../checks.ts";
import { validateNodeSelector } from "../core/pods/affinity.ts";
import { TAINT_EFFECTS, validateLabelName, validateQualified, validateSet } from "./devices.ts";
import { validateRequestPolicy } from "./request-policy.ts";

const TAINTS_MAX = 16;
const PROPERTIES_MAX = 32;
const VALUES_MAX = 48;
const COUNTER_SETS_MAX = 2;
const COUNTERS_MAX = 32;
const CONDITIONS_MAX = 4;
const ATTRIBUTE_LENGTH_MAX = 64;
/** Keys in paths are cut in the middle: a domain, a slash and an identifier, or a label. */
const KEY_LENGTH_MAX = { property: 96, counter: 63 };

const NUMBER = "(0|[1-9]\\d*)";
const BEFORE = "(0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*)";
const BUILD = "[0-9a-zA-Z-]+";
const SEMVER = new RegExp(
  `^${NUMBER}\\.${NUMBER}\\.${NUMBER}(-${BEFORE}(\\.${BEFORE})*)?(\\+${BUILD}(\\.${BUILD})*)?$`,
);

export type Device = NonNullable<ResourceSliceSpec["devices"]>[number];
type Attribute = NonNullable<Device["attributes"]>[string];
type Capacity = NonNullable<Device["capacity"]>[string];

const ATTRIBUTE: readonly GoField[] = [
  { go: "IntValue", json: "int" },
  { go: "BoolValue", json: "bool" },
  { go: "StringValue", json: "string" },
  { go: "VersionValue", json: "version" },
  { go: "IntValues", json: "ints" },
  { go: "BoolValues", json: "bools" },
  { go: "StringValues", json: "strings" },
  { go: "VersionValues", json: "versions" },
];

function cut(key: string, max: number): string {
  if (key.length <= max) return key;
  const rest = max - 3;
  return `${key.slice(0, Math.floor((rest + 1) / 2))}...${key.slice(key.length - Math.floor(rest / 2))}`;
}

const short = (text: string | undefined, field: string): Causes =>
  text !== undefined && Buffer.byteLength(text) > ATTRIBUTE_LENGTH_MAX
    ? [tooLongValue(field, ATTRIBUTE_LENGTH_MAX)]
    : [];

function validateAttribute(attribute: Attribute, at: string): Causes {
  const { string, version } = attribute;
  const causes = short(string, `${at}.string`);
  if (version !== undefined && !SEMVER.test(version))
    causes.push(invalidValue(`${at}.version`, version, "must be a string compatible with semver.org spec 2.0.0"));
  causes.push(...short(version, `${at}.version`));
  const set = Object.keys(attribute).length;
  if (set === 1) return causes;
  return [
    ...causes,
    invalidValue(at, set === 0 ? "" : goValue(attribute, ATTRIBUTE), "exactly one value must be specified"),
  ];
}

const validateCapacity = ({ value, requestPolicy }: Capacity, at: string, shared: boolean): Causes => {
  if (!requestPolicy) return [];
  const field = `${at}.requestPolicy`;
  return shared
    ? validateRequestPolicy(value, requestPolicy, field)
    : [forbiddenField(field, "allowMultipleAllocations must be true")];
};

function validateProperties(device: Device, at: string): Causes {
  const [attributes, capacity] = [Object.entries(device.attributes ?? {}), Object.entries(device.capacity ?? {})];
  const [count, values] = [attributes.length + capacity.length, attributes.length];
  const key = (name: string) => cut(name, KEY_LENGTH_MAX.property);
  return [
    ...(count > PROPERTIES_MAX
      ? [invalidValue(at, count, `the total number of attributes and capacities must not exceed ${PROPERTIES_MAX}`)]
      : []),
    ...(values > VALUES_MAX
      ? [invalidValue(at, values, `the total number of attribute values must not exceed ${VALUES_MAX}`)]
      : []),
    ...attributes.flatMap(([name, attribute]) => [
      ...validateQualified(name, `${at}.attributes`),
      ...validateAttribute(attribute, `${at}.attributes[${key(name)}]`),
    ]),
    ...capacity.flatMap(([name, amount]) => [
      ...validateQualified(name, `${at}.capacity`),
      ...validateCapacity(amount, `${at}.capacity[${key(name)}]`, device.allowMultipleAllocations === true),
    ]),
  ];
}

function validateCounters(counters: CounterSet["counters"] | undefined, field: string): Causes {
  const names = Object.keys(counters ?? {});
  if (names.length === 0) return [required(field)];
  if (names.length > COUNTERS_MAX) return [tooMany(field, names.length, COUNTERS_MAX)];
  return names.flatMap((name) => validateLabelName(name, field));
}

const validateCounterName = (name: string | undefined, field: string): Causes =>
  name ? validateLabelName(name, field) : [required(field)];

export const validateCounterSet = ({ name, counters }: Partial<CounterSet>, at: string): Causes => [
  ...validateCounterName(name, `${at}.name`),
  ...validateCounters(counters, `${at}.counters`),
];

function validateTaint({ key = "", value = "", effect }: NonNullable<Device["taints"]>[number], at: string): Causes {
  return [
    ...each(isQualifiedName(key), `${at}.key`, key),
    ...(value ? each(isLabelValue(value), `${at}.value`, value) : []),
    ...(effect
      ? TAINT_EFFECTS.includes(effect)
        ? []
        : [notSupported(`${at}.effect`, effect, TAINT_EFFECTS)]
      : [required(`${at}.effect`)]),
  ];
}

const CHOICES = ["nodeName", "nodeSelector", "allNodes"] as const;
const PER_DEVICE =
  "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
const NOT_PER_DEVICE =
  "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";

interface Placement {
  nodeName?: string;
  nodeSelector?: NodeSelector;
  allNodes?: boolean;
}

function validatePlacement(placement: Placement, at: string, perDevice: boolean): Causes {
  const { nodeName, nodeSelector, allNodes } = placement;
  if (!perDevice)
    return CHOICES.some((choice) => placement[choice] !== undefined) ? [invalidValue(at, null, NOT_PER_DEVICE)] : [];
  const causes: Causes = [];
  if (nodeName === "") causes.push(invalidValue(`${at}.nodeName`, "", "must not be empty"));
  else if (nodeName !== undefined) causes.push(...subdomain(nodeName, `${at}.nodeName`));
  if (nodeSelector) causes.push(...validateNodeSelector(nodeSelector, `${at}.nodeSelector`));
  if (allNodes === false) causes.push(invalidValue(`${at}.allNodes`, false, "must be either unset or set to true"));
  const set = CHOICES.filter((choice) => placement[choice]);
  if (set.length === 0) causes.push(required(at, PER_DEVICE));
  if (set.length > 1) causes.push(invalidValue(at, `{${set.map((s) => `\`${s}\``).join(", ")}}`, PER_DEVICE));
  return causes;
}

interface Bound {
  bindingConditions?: readonly string[];
  bindingFailureConditions?: readonly string[];
}

/** Conditions that say when a pod may be bound and when it never will be: both or none, and no condition twice. */
export function validateBinding({ bindingConditions = [], bindingFailureConditions = [] }: Bound, at: string): Causes {
  const [good, bad] = [`${at}.bindingConditions`, `${at}.bindingFailureConditions`];
  const format = (list: readonly string[], field: string) =>
    validateSet(list, CONDITIONS_MAX, field, undefined, (name, of) => each(isQualifiedName(name), of, name));
  const twice = (list: readonly string[], i: number, field: string): Causes =>
    list.indexOf(list[i] ?? "") < i ? [duplicate(`${field}[${i}]`, list[i])] : [];
  const overlap = "bindingFailureConditions must not overlap with bindingConditions";
  const causes = [
    ...format(bindingConditions, good),
    ...format(bindingFailureConditions, bad),
    ...bindingConditions.flatMap((_, i) => twice(bindingConditions, i, good)),
    ...bindingFailureConditions.flatMap((name, i) => [
      ...twice(bindingFailureConditions, i, bad),
      ...(bindingConditions.includes(name) ? [invalidValue(`${bad}[${i}]`, name, overlap)] : []),
    ]),
  ];
  const [some, others] = [bindingConditions.length > 0, bindingFailureConditions.length > 0];
  if (others && !some)
    causes.push(invalidValue(good, null, "bindingConditions are required to use bindingFailureConditions"));
  if (some && !others)
    causes.push(invalidValue(bad, null, "bindingFailureConditions are required to use bindingConditions"));
  return causes;
}

/** `old` is the device of this name that was there before: its taints may stay whatever they are. */
export const validateDevice = (device: Device, old: Device | undefined, at: string, perDevice: boolean): Causes => [
  ...validateLabelName(device.name, `${at}.name`),
  ...validateProperties(device, at),
  ...(old && same(old.taints, device.taints)
    ? []
    : validateSet(device.taints, TAINTS_MAX, `${at}.taints`, undefined, validateTaint)),
  ...validateSet(
    device.consumesCounters,
    COUNTER_SETS_MAX,
    `${at}.consumesCounters`,
    ({ counterSet }) => counterSet ?? "",
    ({ counterSet, counters }, of) => [
      ...validateCounterName(counterSet, `${of}.counterSet`),
      ...validateCounters(counters, `${of}.counters`),
    ],
  ),
  ...validatePlacement(device, at, perDevice),
  ...validateBinding(device, at),
];
