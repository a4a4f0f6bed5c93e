/** Names of what is counted and measured (cpu, storage, example.com/gpu), as pkg/apis/core/helper sorts them. */
import { isQualifiedName } from "#sdk/api/names.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import { type Causes, invalidValue } from "../registry/causes.ts";
import { each, nonNegativeQuantity } from "./checks.ts";

/** Of objects: whole numbers only. */
export const COUNTED = [
  "pods",
  "services",
  "services.nodeports",
  "services.loadbalancers",
  "replicationcontrollers",
  "resourcequotas",
  "secrets",
  "configmaps",
  "persistentvolumeclaims",
];
const MEASURED = ["cpu", "memory", "ephemeral-storage"];
export const COMPUTE = [...MEASURED, ...MEASURED.map((n) => `requests.${n}`), ...MEASURED.map((n) => `limits.${n}`)];
const STANDARD = new Set([...COUNTED, ...COMPUTE, "requests.storage"]);

/** What a quota may limit without a domain. */
export const isQuotaName = (name: string): boolean => STANDARD.has(name) || /^(requests\.)?hugepages-/.test(name);
const isStandard = (name: string): boolean => isQuotaName(name) || name === "storage";
const isOfContainers = (name: string): boolean => MEASURED.includes(name) || name.startsWith("hugepages-");
const isNative = (name: string): boolean => !name.includes("/") || name.includes("kubernetes.io/");
/** Some vendor's: its name stays valid with the prefix that quotas give it. */
const isExtended = (name: string): boolean =>
  !isNative(name) && !name.startsWith("requests.") && isQualifiedName(`requests.${name}`).length === 0;

export const isHugePages = (name: string): boolean => name.startsWith("hugepages-");
/** What may be promised more often than it is there. */
export const isOvercommitted = (name: string): boolean => isNative(name) && !isHugePages(name);

export function validateResourceName(name: string, field: string): Causes {
  const causes = each(isQualifiedName(name), field, name);
  if (causes.length > 0 || name.includes("/") || isStandard(name)) return causes;
  return [invalidValue(field, name, "must be a standard resource type or fully qualified")];
}

export function validateContainerResourceName(name: string, field: string): Causes {
  const causes = validateResourceName(name, field);
  if (!name.includes("/")) {
    if (!isOfContainers(name)) causes.push(invalidValue(field, name, "must be a standard resource for containers"));
  } else if (!isNative(name) && !isExtended(name))
    causes.push(invalidValue(field, name, "doesn't follow extended resource name standard"));
  return causes;
}

/** An amount of something: not negative, and whole where it is counted. */
export function validateAmount(name: string, amount: string | number, field: string): Causes {
  const whole = COUNTED.includes(name) || isExtended(name);
  const broken = whole && parseQuantity(amount).nano % 1_000_000_000n !== 0n;
  return [
    ...nonNegativeQuantity(amount, field),
    ...(broken ? [invalidValue(field, String(amount), "must be an integer")] : []),
  ];
}
