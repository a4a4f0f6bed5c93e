/** ResourceSlices: the devices that a driver offers. */
import type { ResourceSlice, ResourceSliceSpec } from "#sdk/api/generated/types.ts";
import { isLabelValue, isQualifiedName } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, notSupported, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { each, immutable, subdomain } from "../checks.ts";
import { validateNodeSelector } from "../core/pods/affinity.ts";
import { validateDriverName } from "../storage/csi.ts";
import { TAINT_EFFECTS, validateLabelName, validatePoolName, validateQualified, validateSet } from "./devices.ts";

const DEVICES_MAX = { plain: 128, advanced: 64 };
const COUNTER_SETS_MAX = 8;
const TAINTS_MAX = 16;
const PROPERTIES_MAX = 32;
const SEMVER = /^\d+\.\d+\.\d+(-[0-9A-Za-z-.]+)?(\+[0-9A-Za-z-.]+)?$/;
const ATTRIBUTE_LENGTH_MAX = 64;

type Device = NonNullable<ResourceSliceSpec["devices"]>[number];
type Attribute = NonNullable<Device["attributes"]>[string];

const VALUES = ["bool", "int", "string", "version"] as const;

function validateAttribute(attribute: Attribute, at: string): Causes {
  const set = VALUES.filter((v) => (attribute as Record<string, unknown>)[v] !== undefined);
  const lists = ["bools", "ints", "strings", "versions"].filter(
    (v) => (attribute as Record<string, unknown>)[v] !== undefined,
  );
  if (set.length + lists.length === 0) return [invalidValue(at, "", "exactly one value must be specified")];
  if (set.length + lists.length > 1) return [invalidValue(at, attribute, "exactly one value must be specified")];
  const text = attribute.string ?? attribute.version;
  const field = `${at}.${set[0]}`;
  const causes: Causes = [];
  if (text !== undefined && text.length > ATTRIBUTE_LENGTH_MAX)
    causes.push({
      reason: "FieldValueTooLong",
      message: `Too long: may not be more than ${ATTRIBUTE_LENGTH_MAX} bytes`,
      field,
    });
  if (attribute.version !== undefined && !SEMVER.test(attribute.version))
    causes.push(invalidValue(field, attribute.version, "must be a string compatible with semver.org spec 2.0.0"));
  return causes;
}

function validateTaint({ key = "", value = "", effect }: NonNullable<Device["taints"]>[number], at: string): Causes {
  return [
    ...each(isQualifiedName(key), `${at}.key`, key),
    ...each(isLabelValue(value), `${at}.value`, value),
    ...(effect
      ? TAINT_EFFECTS.includes(effect)
        ? []
        : [notSupported(`${at}.effect`, effect, TAINT_EFFECTS)]
      : [required(`${at}.effect`)]),
  ];
}

interface Placement {
  nodeName?: string;
  nodeSelector?: Parameters<typeof validateNodeSelector>[0];
  allNodes?: boolean;
  perDeviceNodeSelection?: boolean;
}

const CHOICES = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"] as const;

/** One way to say on which nodes something is, of those that the place allows. */
function validatePlacement(placement: Placement, at: string, names: string, several: string): Causes {
  const causes: Causes = [];
  const set = CHOICES.filter((c) => placement[c] !== undefined && placement[c] !== "" && placement[c] !== false);
  if (placement.nodeName === "")
    causes.push(invalidValue(`${at}.nodeName`, "", "must be either unset or set to a non-empty string"));
  else if (placement.nodeName) causes.push(...subdomain(placement.nodeName, `${at}.nodeName`));
  if (placement.nodeSelector) {
    const { nodeSelectorTerms: terms = [] } = placement.nodeSelector;
    causes.push(...validateNodeSelector(placement.nodeSelector, `${at}.nodeSelector`));
    if (terms.length !== 1)
      causes.push(
        invalidValue(`${at}.nodeSelector.nodeSelectorTerms`, terms, "must have exactly one node selector term"),
      );
  }
  for (const flag of ["allNodes", "perDeviceNodeSelection"] as const)
    if (placement[flag] === false)
      causes.push(invalidValue(`${at}.${flag}`, false, "must be either unset or set to true"));
  if (set.length === 0) causes.push(required(at, names));
  if (set.length > 1) causes.push(invalidValue(at, `{${set.map((s) => `\`${s}\``).join(", ")}}`, several));
  return causes;
}

const PER_DEVICE =
  "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
const PER_SLICE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";

function validateDevice(device: Device, at: string, perDevice: boolean): Causes {
  const causes = validateLabelName(device.name, `${at}.name`);
  const [attributes, capacity] = [Object.entries(device.attributes ?? {}), Object.entries(device.capacity ?? {})];
  const count = attributes.length + capacity.length;
  if (count > PROPERTIES_MAX)
    causes.push(
      invalidValue(at, count, `the total number of attributes and capacities must not exceed ${PROPERTIES_MAX}`),
    );
  for (const [name, attribute] of attributes)
    causes.push(
      ...validateQualified(name, `${at}.attributes`, false),
      ...validateAttribute(attribute, `${at}.attributes[${name}]`),
    );
  for (const [name] of capacity) causes.push(...validateQualified(name, `${at}.capacity`, false));
  causes.push(...validateSet(device.taints, TAINTS_MAX, `${at}.taints`, undefined, validateTaint));
  const placement: Placement = device;
  if (perDevice) causes.push(...validatePlacement(placement, at, PER_DEVICE, PER_DEVICE));
  else if (placement.nodeName !== undefined || placement.nodeSelector || placement.allNodes !== undefined)
    causes.push(
      invalidValue(
        at,
        null,
        "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec",
      ),
    );
  return causes;
}

function validate(spec: ResourceSliceSpec | undefined): Causes {
  const { pool, devices = [], sharedCounters } = spec ?? {};
  const causes = [
    ...validateDriverName(spec?.driver, "spec.driver"),
    ...validatePoolName(pool?.name, "spec.pool.name"),
  ];
  if ((pool?.resourceSliceCount ?? 0) <= 0)
    causes.push(
      invalidValue("spec.pool.resourceSliceCount", pool?.resourceSliceCount ?? 0, "must be greater than zero"),
    );
  if ((pool?.generation ?? 0) < 0)
    causes.push(invalidValue("spec.pool.generation", pool?.generation, "must be greater than or equal to zero"));
  causes.push(
    ...validatePlacement((spec ?? {}) as Placement, "spec", PER_SLICE, `${PER_SLICE}, but multiple fields are set`),
  );
  if (sharedCounters && spec?.devices)
    causes.push(invalidValue("spec", "", "only one of `sharedCounters` or `devices` is allowed"));
  const advanced = devices.some((d) => d.taints?.length || d.consumesCounters?.length);
  const max = advanced ? DEVICES_MAX.advanced : DEVICES_MAX.plain;
  causes.push(
    ...validateSet(
      devices,
      max,
      "spec.devices",
      (d) => d.name ?? "",
      (d, at) => validateDevice(d, at, spec?.perDeviceNodeSelection === true),
    ),
    ...validateSet(
      sharedCounters,
      COUNTER_SETS_MAX,
      "spec.sharedCounters",
      (c) => c.name ?? "",
      (c, at) => [
        ...(c.name ? validateLabelName(c.name, `${at}.name`) : [required(`${at}.name`)]),
        ...(Object.keys(c.counters ?? {}).length === 0 ? [required(`${at}.counters`)] : []),
      ],
    ),
  );
  return causes;
}

export const resourceSliceStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: true,
    returnsDeletedObject: true,
    applyDefaults(object) {
      const now = `${new Date().toISOString().slice(0, 19)}Z`;
      for (const { taints } of as<ResourceSlice>(object).spec?.devices ?? [])
        for (const taint of taints ?? []) taint.timeAdded ??= now;
    },
    validate: (object) => validate(as<ResourceSlice>(object).spec),
    validateUpdate(next, old) {
      const [after, before] = [as<ResourceSlice>(next).spec, as<ResourceSlice>(old).spec];
      return [
        ...validate(after),
        ...immutable("spec.pool.name", after?.pool?.name, before?.pool?.name),
        ...immutable("spec.driver", after?.driver, before?.driver),
        ...immutable("spec.nodeName", after?.nodeName, before?.nodeName),
      ];
    },
    fieldNames: ["spec.driver", "spec.nodeName"],
    fields(object) {
      const { spec } = as<ResourceSlice>(object);
      return { "spec.driver": spec?.driver ?? "", "spec.nodeName": spec?.nodeName ?? "" };
    },
  });
