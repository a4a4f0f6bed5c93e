/** ResourceSlices: the devices that a driver offers. */
import { timeText } from "#platform/base/clock.ts";
import type { ResourceSlice, ResourceSliceSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { immutable, subdomain } from "../checks.ts";
import { validateNodeSelector } from "../core/pods/affinity.ts";
import { validateDriverName } from "../storage/csi.ts";
import { validatePoolName, validateSet } from "./devices.ts";
import { type Device, validateCounterSet, validateDevice } from "./slice-devices.ts";

const DEVICES_MAX = { plain: 128, advanced: 64 };
const COUNTER_SETS_MAX = 8;

const REQUIREMENT: readonly GoField[] = [
  { go: "Key", json: "key", zero: "" },
  { go: "Operator", json: "operator", zero: "" },
  { go: "Values", json: "values" },
];
const TERM: readonly GoField[] = [
  { go: "MatchExpressions", json: "matchExpressions", of: REQUIREMENT },
  { go: "MatchFields", json: "matchFields", of: REQUIREMENT },
];

const CHOICES = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"] as const;
const ONE_CHOICE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";

/** On which nodes the devices are: said in one way of four. */
function validatePlacement(spec: Partial<ResourceSliceSpec>): Causes {
  const causes: Causes = [];
  const { nodeName, nodeSelector } = spec;
  if (nodeName === "")
    causes.push(invalidValue("spec.nodeName", "", "must be either unset or set to a non-empty string"));
  else if (nodeName !== undefined) causes.push(...subdomain(nodeName, "spec.nodeName"));
  if (nodeSelector) {
    const { nodeSelectorTerms: terms = [] } = nodeSelector;
    causes.push(...validateNodeSelector(nodeSelector, "spec.nodeSelector"));
    if (terms.length !== 1)
      causes.push(
        invalidValue(
          "spec.nodeSelector.nodeSelectorTerms",
          goValue(terms, TERM),
          "must have exactly one node selector term",
        ),
      );
  }
  for (const flag of ["allNodes", "perDeviceNodeSelection"] as const)
    if (spec[flag] === false) causes.push(invalidValue(`spec.${flag}`, false, "must be either unset or set to true"));
  const set = CHOICES.filter((choice) => spec[choice]);
  if (set.length === 0) causes.push(required("spec", ONE_CHOICE));
  if (set.length > 1) {
    const chosen = `{${set.map((s) => `\`${s}\``).join(", ")}}`;
    causes.push(invalidValue("spec", chosen, `${ONE_CHOICE}, but multiple fields are set`));
  }
  return causes;
}

function validatePool({
  name,
  generation = 0,
  resourceSliceCount: count = 0,
}: Partial<ResourceSliceSpec["pool"]>): Causes {
  const at = "spec.pool";
  return [
    ...validatePoolName(name, `${at}.name`),
    ...(count > 0 ? [] : [invalidValue(`${at}.resourceSliceCount`, count, "must be greater than zero")]),
    ...(generation >= 0 ? [] : [invalidValue(`${at}.generation`, generation, "must be greater than or equal to zero")]),
  ];
}

export function validateSlice(slice: ResourceSlice, old?: ResourceSlice): Causes {
  const spec: Partial<ResourceSliceSpec> = slice.spec ?? {};
  const { devices = [], sharedCounters } = spec;
  const before = new Map((old?.spec.devices ?? []).map((device) => [device.name, device]));
  const advanced = devices.some((d) => d.taints?.length || d.consumesCounters?.length || hasLists(d));
  return [
    ...validateDriverName(spec.driver, "spec.driver"),
    ...validatePool(spec.pool ?? {}),
    ...(old ? validateFixed(spec, old.spec) : []),
    ...validatePlacement(spec),
    ...(sharedCounters && spec.devices
      ? [invalidValue("spec", "", "only one of `sharedCounters` or `devices` is allowed")]
      : []),
    ...validateSet(
      devices,
      advanced ? DEVICES_MAX.advanced : DEVICES_MAX.plain,
      "spec.devices",
      ({ name }) => name ?? "",
      (device, at) => validateDevice(device, before.get(device.name), at, spec.perDeviceNodeSelection === true),
    ),
    ...validateSet(
      sharedCounters,
      COUNTER_SETS_MAX,
      "spec.sharedCounters",
      ({ name }) => name ?? "",
      validateCounterSet,
    ),
  ];
}

const validateFixed = (spec: Partial<ResourceSliceSpec>, old: ResourceSliceSpec): Causes => [
  ...immutable("spec.pool.name", spec.pool?.name ?? "", old.pool?.name ?? ""),
  ...immutable("spec.driver", spec.driver ?? "", old.driver ?? ""),
  ...immutable("spec.nodeName", spec.nodeName, old.nodeName),
];

const LISTS = ["ints", "bools", "strings", "versions"] as const;
const hasLists = ({ attributes = {} }: Device): boolean =>
  Object.values(attributes).some((attribute) => LISTS.some((list) => attribute[list] !== undefined));

/** Fields of features that are off stay away, unless the slice has them from before. */
function dropDisabled(slice: ResourceSlice, old?: ResourceSlice): void {
  const before = old?.spec?.devices ?? [];
  const keepsMappings = before.some((d) => Object.keys(d.nodeAllocatableResourceMappings ?? {}).length > 0);
  const keepsLists = before.some(hasLists);
  for (const device of slice.spec?.devices ?? []) {
    if (!keepsMappings) delete device.nodeAllocatableResourceMappings;
    if (!keepsLists)
      for (const attribute of Object.values(device.attributes ?? {})) for (const list of LISTS) delete attribute[list];
  }
}

export const resourceSliceStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: true,
    returnsDeletedObject: true,
    applyDefaults(object) {
      const now = timeText(Date.now());
      for (const { taints } of as<ResourceSlice>(object).spec?.devices ?? [])
        for (const taint of taints ?? []) taint.timeAdded ??= now;
    },
    prepareForCreate: (object) => dropDisabled(as<ResourceSlice>(object)),
    prepareForUpdate: (next, old) => dropDisabled(as<ResourceSlice>(next), as<ResourceSlice>(old)),
    validate: (object) => validateSlice(as<ResourceSlice>(object)),
    validateUpdate: (next, old) => validateSlice(as<ResourceSlice>(next), as<ResourceSlice>(old)),
    warnings(object) {
      const driver = as<ResourceSlice>(object).spec?.driver ?? "";
      const text = JSON.stringify(driver);
      return driver === driver.toLowerCase()
        ? []
        : [`spec.driver: driver names should be lowercase; ${text} contains uppercase characters`];
    },
    fieldNames: ["spec.driver", "spec.nodeName"],
    fields(object) {
      const { spec } = as<ResourceSlice>(object);
      return { "spec.driver": spec?.driver ?? "", "spec.nodeName": spec?.nodeName ?? "" };
    },
  });
