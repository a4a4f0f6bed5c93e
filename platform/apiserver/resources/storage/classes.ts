/** StorageClasses and VolumeAttributesClasses: what a volume can be asked to be. */
import type { StorageClass, TopologySelectorTerm, VolumeAttributesClass } from "#sdk/api/generated/types.ts";
import { isQualifiedName } from "#sdk/api/names.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, duplicate, forbiddenField, invalidValue, required, tooLongValue } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { each, immutable, oneOf, qualified, same } from "../checks.ts";

const PARAMETERS_MAX = 512;
const PARAMETERS_BYTES_MAX = 256 * 1024;

function validateParameters(parameters: Record<string, string> | undefined, needed: boolean): Causes {
  const entries = Object.entries(parameters ?? {});
  if (entries.length > PARAMETERS_MAX) return [tooLongValue("parameters", PARAMETERS_MAX)];
  const causes = entries
    .filter(([key]) => key === "")
    .map(([key]) => invalidValue("parameters", key, "field can not be empty."));
  const bytes = entries.reduce((sum, [k, v]) => sum + Buffer.byteLength(k) + Buffer.byteLength(v), 0);
  if (bytes > PARAMETERS_BYTES_MAX) causes.push(tooLongValue("parameters", PARAMETERS_BYTES_MAX));
  if (needed && entries.length === 0) causes.push(required("parameters", "must contain at least one key/value pair"));
  return causes;
}

function validateTerm(term: TopologySelectorTerm, at: string): Causes {
  const seen = new Set<string>();
  return (term.matchLabelExpressions ?? []).flatMap(({ key: given, values: listed }, i) => {
    const [key, values] = [given ?? "", listed ?? []];
    const field = `${at}.matchLabelExpressions[${i}]`;
    const causes: Causes = values.length === 0 ? [required(`${field}.values`)] : [];
    for (const [j, value] of values.entries())
      if (values.indexOf(value) !== j) causes.push(duplicate(`${field}.values[${j}]`, value));
    causes.push(...each(isQualifiedName(key), `${field}.key`, key));
    if (seen.has(key)) causes.push(duplicate(`${field}.key`, key));
    seen.add(key);
    return causes;
  });
}

/** What a term asks for, whatever the order of its parts. */
const meaning = ({ matchLabelExpressions }: TopologySelectorTerm): string =>
  JSON.stringify((matchLabelExpressions ?? []).map(({ key, values }) => [key, [...(values ?? [])].sort()]).sort());

function validateTopologies(terms: readonly TopologySelectorTerm[]): Causes {
  // As the original has it: a term that asks for nothing is like as many others as there are terms.
  const before: string[] = terms.map(() => "[]");
  return terms.flatMap((term, i) => {
    const at = `allowedTopologies[${i}]`;
    const own = meaning(term);
    const twice = before.filter((other) => other === own).map(() => duplicate(`${at}.matchLabelExpressions`, ""));
    before.push(own);
    return [...validateTerm(term, at), ...twice];
  });
}

function validateStorageClass(storageClass: StorageClass): Causes {
  const { provisioner, parameters, reclaimPolicy, volumeBindingMode, allowedTopologies } = storageClass;
  return [
    ...qualified(provisioner, "provisioner"),
    ...validateParameters(parameters, false),
    ...(reclaimPolicy ? oneOf(reclaimPolicy, "reclaimPolicy", ["Delete", "Retain"]) : []),
    ...oneOf(volumeBindingMode, "volumeBindingMode", ["Immediate", "WaitForFirstConsumer"]),
    ...validateTopologies(allowedTopologies ?? []),
  ];
}

const FIXED = ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] as const;

const fixed = (object: DynamicObject, field: (typeof FIXED)[number]): unknown =>
  as<StorageClass>(object)[field] ?? (field === "provisioner" ? "" : undefined);

export const storageClassStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    returnsDeletedObject: true,
    applyDefaults(object) {
      const storageClass = as<StorageClass>(object);
      storageClass.reclaimPolicy ??= "Delete";
      storageClass.volumeBindingMode ??= "Immediate";
    },
    validate: (object) => validateStorageClass(as<StorageClass>(object)),
    validateUpdate: (next, old) => [
      ...validateStorageClass(as<StorageClass>(next)),
      ...FIXED.flatMap((field) => immutable(field, fixed(next, field), fixed(old, field))),
    ],
  });

const validateAttributes = ({ driverName, parameters }: VolumeAttributesClass): Causes => [
  ...qualified(driverName, "driverName"),
  ...validateParameters(parameters, true),
];

export const volumeAttributesClassStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    returnsDeletedObject: true,
    validate: (object) => validateAttributes(as<VolumeAttributesClass>(object)),
    validateUpdate(next, old) {
      const [after, before] = [as<VolumeAttributesClass>(next), as<VolumeAttributesClass>(old)];
      const changed = (["driverName", "parameters"] as const).filter((field) => !same(after[field], before[field]));
      return [
        ...changed.map((field) => forbiddenField(field, `updates to ${field} are forbidden.`)),
        ...validateAttributes(after),
      ];
    },
  });
