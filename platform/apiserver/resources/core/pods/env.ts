/** Validation of environments and of what refers to fields and resources of the pod (ValidateEnv, ValidateEnvFrom and the downward API's selectors). */
import type {
  EnvFromSource,
  EnvVar,
  FileKeySelector,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from "#sdk/api/generated/types.ts";
import { isConfigMapKey, isDNS1123Label, isDNS1123Subdomain, isEnvVarName, isQualifiedName } from "#sdk/api/names.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import { type Causes, invalidValue, notSupported, required } from "../../../registry/causes.ts";
import { nameIsDNSSubdomain } from "../../../registry/names.ts";
import { each } from "../../checks.ts";
import { noBacksteps } from "../volumes/paths.ts";

/** What a pod tells of itself at all, in any form. */
const FIELD_LABELS = new Set([
  "metadata.annotations",
  "metadata.labels",
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.restartPolicy",
  "spec.serviceAccountName",
  "spec.schedulerName",
  "status.phase",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
]);

export const ENV_FIELDS: readonly string[] = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
];

const RESOURCE_FIELDS: readonly string[] = ["limits", "requests"].flatMap((kind) =>
  ["cpu", "memory", "ephemeral-storage"].map((name) => `${kind}.${name}`),
);
const HUGE_PAGES = /^(requests|limits)\.hugepages-/;
const BYTE_DIVISORS = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/** `metadata.labels['key']` as its two halves; undefined when there is no subscript. */
function subscripted(path: string): { path: string; key: string } | undefined {
  const start = path.indexOf("['");
  if (start <= 0 || !path.endsWith("']") || start + 4 > path.length) return undefined;
  return { path: path.slice(0, start), key: path.slice(start + 2, -2) };
}

export function validateFieldRef(ref: ObjectFieldSelector, allowed: readonly string[], at: string): Causes {
  const { apiVersion = "", fieldPath = "" } = ref;
  if (apiVersion === "") return [required(`${at}.apiVersion`)];
  if (fieldPath === "") return [required(`${at}.fieldPath`)];
  const unknown = (detail: string) => [
    invalidValue(`${at}.fieldPath`, fieldPath, `error converting fieldPath: ${detail}`),
  ];
  if (apiVersion !== "v1") return unknown(`unsupported pod version: ${apiVersion}`);
  const parts = subscripted(fieldPath);
  if (parts) {
    if (parts.path === "metadata.annotations")
      return each(isQualifiedName(parts.key.toLowerCase()), at, parts.key.toLowerCase());
    if (parts.path === "metadata.labels") return each(isQualifiedName(parts.key), at, parts.key);
    return unknown(`field label does not support subscript: ${fieldPath}`);
  }
  // The old name of the field is read as the new one.
  const path = fieldPath === "spec.host" ? "spec.nodeName" : fieldPath;
  if (!FIELD_LABELS.has(path)) return unknown(`field label not supported: ${fieldPath}`);
  return allowed.includes(path) ? [] : [notSupported(`${at}.fieldPath`, path, allowed)];
}

function validateDivisor({ resource = "", divisor = "0" }: ResourceFieldSelector, at: string): Causes {
  const text = String(divisor);
  if (parseQuantity(text).nano === 0n) return [];
  const wrong = (values: string, what: string) => [
    invalidValue(`${at}.divisor`, resource, `only divisor's values ${values} are supported with the ${what} resource`),
  ];
  const name = resource.replace(/^(limits|requests)\./, "");
  if (name === resource) return [];
  if (name === "cpu") return text === "1" || text === "1m" ? [] : wrong("1m and 1", "cpu");
  const what = { memory: "memory", "ephemeral-storage": "local ephemeral storage" }[name];
  if (BYTE_DIVISORS.includes(text) || (!what && !name.startsWith("hugepages-"))) return [];
  return wrong(BYTE_DIVISORS.join(", "), what ?? "hugepages");
}

/** `ofVolume`: in a volume the container must be named. */
export function validateResourceFieldRef(ref: ResourceFieldSelector, at: string, ofVolume: boolean): Causes {
  const { containerName = "", resource = "" } = ref;
  const causes: Causes = [];
  if (ofVolume && containerName === "") causes.push(required(`${at}.containerName`));
  else if (resource === "") causes.push(required(`${at}.resource`));
  else if (!RESOURCE_FIELDS.includes(resource) && !HUGE_PAGES.test(resource))
    causes.push(notSupported(`${at}.resource`, resource, RESOURCE_FIELDS));
  return [...causes, ...validateDivisor(ref, at)];
}

const validateKeyRef = ({ name = "", key = "" }: { name?: string; key?: string }, at: string): Causes => [
  ...each(isDNS1123Subdomain(name), `${at}.name`, name),
  ...(key === "" ? [required(`${at}.key`)] : each(isConfigMapKey(key), `${at}.key`, key)),
];

const validateFileKeyRef = ({ key = "", volumeName = "", path = "" }: FileKeySelector, at: string): Causes => [
  ...(key === "" ? [required(`${at}.key`)] : each(isEnvVarName(key), `${at}.key`, key)),
  ...(volumeName === ""
    ? [required(`${at}.volumeName`)]
    : each(isDNS1123Label(volumeName), `${at}.volumeName`, volumeName)),
  ...(path === "" ? [required(`${at}.path`)] : noBacksteps(path, `${at}.path`)),
];

function validateValueFrom({ value, valueFrom }: EnvVar, at: string): Causes {
  if (!valueFrom) return [];
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = valueFrom;
  const causes: Causes = [
    ...(fieldRef ? validateFieldRef(fieldRef, ENV_FIELDS, `${at}.fieldRef`) : []),
    ...(resourceFieldRef ? validateResourceFieldRef(resourceFieldRef, `${at}.resourceFieldRef`, false) : []),
    ...(configMapKeyRef ? validateKeyRef(configMapKeyRef, `${at}.configMapKeyRef`) : []),
    ...(secretKeyRef ? validateKeyRef(secretKeyRef, `${at}.secretKeyRef`) : []),
    ...(fileKeyRef ? validateFileKeyRef(fileKeyRef, `${at}.fileKeyRef`) : []),
  ];
  const count = Object.keys(valueFrom).length;
  const one = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
  if (count === 0) causes.push(invalidValue(at, "", one));
  else if (value) causes.push(invalidValue(at, "", "may not be specified when `value` is not empty"));
  else if (count > 1) causes.push(invalidValue(at, "", "may not have more than one field specified at a time"));
  return causes;
}

export const validateEnv = (env: readonly EnvVar[], path: string): Causes =>
  env.flatMap((variable, i) => {
    const { name } = variable;
    const at = `${path}[${i}]`;
    return [
      ...(name ? each(isEnvVarName(name), `${at}.name`, name) : [required(`${at}.name`)]),
      ...validateValueFrom(variable, `${at}.valueFrom`),
    ];
  });

/** What could begin a name is as good here: upstream asks for no more. */
const validateSourceName = (name: string | undefined, field: string): Causes =>
  name ? each(nameIsDNSSubdomain(name, true), field, name) : [required(field)];

export const validateEnvFrom = (sources: readonly EnvFromSource[], path: string): Causes =>
  sources.flatMap(({ prefix, configMapRef, secretRef }, i) => {
    const at = `${path}[${i}]`;
    const causes: Causes = [
      ...(prefix ? each(isEnvVarName(prefix), `${at}.prefix`, prefix) : []),
      ...(configMapRef ? validateSourceName(configMapRef.name, `${at}.configMapRef.name`) : []),
      ...(secretRef ? validateSourceName(secretRef.name, `${at}.secretRef.name`) : []),
    ];
    if (!configMapRef && !secretRef)
      causes.push(invalidValue(path, "", "must specify one of: `configMapRef` or `secretRef`"));
    else if (configMapRef && secretRef)
      causes.push(invalidValue(path, "", "may not have more than one field specified at a time"));
    return causes;
  });
