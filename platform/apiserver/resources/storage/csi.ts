/** What CSI drivers say of themselves: CSIDrivers, CSINodes and CSIStorageCapacities. */
import type { CSIDriver, CSIDriverSpec, CSINode, CSIStorageCapacity } from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import { isDNS1123Subdomain, isQualifiedName } from "#sdk/api/names.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, duplicate, invalidValue, notSupportedInOrder, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import { specChanged } from "../../registry/meta.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { each, immutable, nonNegative, nonNegativeQuantity, oneOf, same, subdomain } from "../checks.ts";

const GROUP_POLICIES = ["File", "None", "ReadWriteOnceWithFSType"];
const LIFECYCLE_MODES = ["Persistent", "Ephemeral"];
const TOKEN_SECONDS = { min: 600, max: 2 ** 32 };
const UPDATE_PERIOD_SECONDS_MIN = 10;
const NODE_ID_LENGTH_MAX = 256;
const DRIVER_NAME_LENGTH_MAX = 63;

const DRIVER_DEFAULTS = {
  attachRequired: true,
  podInfoOnMount: false,
  storageCapacity: false,
  fsGroupPolicy: "ReadWriteOnceWithFSType",
  requiresRepublish: false,
  seLinuxMount: false,
} as const;

function validateDriver(spec: CSIDriverSpec | undefined): Causes {
  const causes = oneOf(spec?.fsGroupPolicy, "spec.fsGroupPolicy", GROUP_POLICIES);
  const audiences = new Set<string>();
  for (const [i, { audience = "", expirationSeconds }] of (spec?.tokenRequests ?? []).entries()) {
    const at = `spec.tokenRequests[${i}]`;
    if (audiences.has(audience)) {
      causes.push(duplicate(`${at}.audience`, audience));
      continue;
    }
    audiences.add(audience);
    if (expirationSeconds === undefined) continue;
    const wrong = (detail: string) => causes.push(invalidValue(`${at}.expirationSeconds`, expirationSeconds, detail));
    if (expirationSeconds < TOKEN_SECONDS.min) wrong("may not specify a duration less than 10 minutes");
    if (expirationSeconds > TOKEN_SECONDS.max) wrong("may not specify a duration larger than 2^32 seconds");
  }
  for (const mode of spec?.volumeLifecycleModes ?? [])
    if (!LIFECYCLE_MODES.includes(mode))
      causes.push(notSupportedInOrder("spec.volumeLifecycleModes", mode, LIFECYCLE_MODES));
  const period = spec?.nodeAllocatableUpdatePeriodSeconds;
  if (period !== undefined && period < UPDATE_PERIOD_SECONDS_MIN)
    causes.push(
      invalidValue("spec.nodeAllocatableUpdatePeriodSeconds", period, "must be greater than or equal to 10 seconds"),
    );
  if (spec?.serviceAccountTokenInSecrets !== undefined && !spec.tokenRequests?.length)
    causes.push(
      invalidValue(
        "spec.serviceAccountTokenInSecrets",
        spec.serviceAccountTokenInSecrets,
        "serviceAccountTokenInSecrets is set but no tokenRequests are specified",
      ),
    );
  return causes;
}

/** What only a feature that is off would read is not kept. */
function dropUnused(object: DynamicObject, old?: DynamicObject): void {
  const { spec } = as<CSIDriver>(object);
  const kept = old && as<CSIDriver>(old).spec?.preventPodSchedulingIfMissing !== undefined;
  if (spec && !kept) delete spec.preventPodSchedulingIfMissing;
}

export const csiDriverStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    returnsDeletedObject: true,
    allowUnconditionalUpdate: false,
    applyDefaults(object) {
      const driver = as<CSIDriver>(object);
      driver.spec ??= {};
      for (const [field, value] of Object.entries(DRIVER_DEFAULTS))
        (driver.spec as Record<string, unknown>)[field] ??= value;
      if (!driver.spec.volumeLifecycleModes?.length) driver.spec.volumeLifecycleModes = ["Persistent"];
    },
    prepareForCreate: (object) => dropUnused(object),
    prepareForUpdate(next, old) {
      dropUnused(next, old);
      // The first change makes it 1: a driver is created without a generation.
      if (specChanged(next, old)) next.metadata.generation = (old.metadata.generation ?? 0) + 1;
    },
    validate: (object) => validateDriver(as<CSIDriver>(object).spec),
    validateUpdate(next, old) {
      const [after, before] = [as<CSIDriver>(next).spec, as<CSIDriver>(old).spec];
      return [
        ...validateDriver(after),
        ...immutable("spec.attachedRequired", after?.attachRequired, before?.attachRequired),
        ...immutable("spec.volumeLifecycleModes", after?.volumeLifecycleModes, before?.volumeLifecycleModes),
      ];
    },
  });

/** A driver's name: a subdomain, short enough for a label. */
export function validateDriverName(name: string | undefined, field: string): Causes {
  if (!name) return [required(field)];
  const causes = each(isDNS1123Subdomain(name.toLowerCase()), field, name);
  if (name.length > DRIVER_NAME_LENGTH_MAX)
    causes.push({
      reason: "FieldValueTooLong",
      message: `Too long: may not be more than ${DRIVER_NAME_LENGTH_MAX} bytes`,
      field,
    });
  return causes;
}

function validateNode({ spec }: CSINode): Causes {
  const causes: Causes = [];
  const names = new Set<string>();
  for (const [i, driver] of (spec?.drivers ?? []).entries()) {
    const at = `spec.drivers[${i}]`;
    causes.push(...validateDriverName(driver.name, `${at}.name`));
    if (!driver.nodeID) causes.push(required(`${at}.nodeID`));
    else if (driver.nodeID.length > NODE_ID_LENGTH_MAX)
      causes.push(invalidValue(`${at}.nodeID`, driver.nodeID, `must be ${NODE_ID_LENGTH_MAX} characters or less`));
    causes.push(...nonNegative(driver.allocatable?.count, `${at}.allocatable.count`));
    if (names.has(driver.name)) causes.push(duplicate(`${at}.name`, driver.name));
    names.add(driver.name);
    for (const [j, key] of (driver.topologyKeys ?? []).entries()) {
      if (!key) causes.push(required(at));
      if ((driver.topologyKeys ?? []).indexOf(key) !== j) causes.push(duplicate(at, key));
      causes.push(...each(isQualifiedName(key), at, key));
    }
  }
  return causes;
}

const DRIVER: readonly GoField[] = [
  { go: "Name", json: "name", zero: "" },
  { go: "NodeID", json: "nodeID", zero: "" },
  { go: "TopologyKeys", json: "topologyKeys" },
  { go: "Allocatable", json: "allocatable" },
];
const fixedPart = ({ allocatable: _, ...rest }: { allocatable?: unknown }) => rest;

export const csiNodeStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    returnsDeletedObject: true,
    allowUnconditionalUpdate: false,
    validate: (object) => validateNode(as<CSINode>(object)),
    validateUpdate(next, old) {
      const before = as<CSINode>(old).spec?.drivers ?? [];
      return [
        ...validateNode(as<CSINode>(next)),
        ...(as<CSINode>(next).spec?.drivers ?? [])
          .filter((d) => before.some((b) => b.name === d.name && !same(fixedPart(b), fixedPart(d))))
          .map((d) => invalidValue("spec.drivers", goValue(fixedPart(d), DRIVER), "field is immutable")),
      ];
    },
  });

const validateCapacity = ({ nodeTopology, storageClassName, capacity }: CSIStorageCapacity): Causes => [
  ...validateLabelSelector(nodeTopology, "nodeTopology"),
  ...subdomain(storageClassName, "storageClassName"),
  ...nonNegativeQuantity(capacity, "capacity"),
];

export const csiStorageCapacityStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowUnconditionalUpdate: false,
    validate: (object) => validateCapacity(as<CSIStorageCapacity>(object)),
    validateUpdate(next, old) {
      const [after, before] = [as<CSIStorageCapacity>(next), as<CSIStorageCapacity>(old)];
      return [
        ...validateCapacity(after),
        ...immutable("nodeTopology", after.nodeTopology, before.nodeTopology),
        ...immutable("storageClassName", after.storageClassName ?? "", before.storageClassName),
      ];
    },
  });
