/** What claims, classes and slices of the resource group share: names, selectors and configuration of devices. */
import { CelEnvironment, DYN, typeText } from "#platform/rules/cel/index.ts";
import type { DeviceSelector, DeviceToleration } from "#sdk/api/generated/types.ts";
import { isDNS1123Label, isLabelValue, isQualifiedName } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  invalidValue,
  notSupported,
  required,
  tooLongValue,
  tooMany,
} from "../../registry/causes.ts";
import { each, oneOf, subdomain } from "../checks.ts";
import { validateDriverName } from "../storage/csi.ts";

const SELECTORS_MAX = 32;
const EXPRESSION_BYTES_MAX = 10 * 1024;
const DATA_BYTES_MAX = 10 * 1024;
const POOL_NAME_LENGTH_MAX = 253;
export const TAINT_EFFECTS = ["NoExecute", "NoSchedule", "None"];

const environment = new CelEnvironment({ variables: { device: DYN }, binds: true });

export function validateLabelName(name: string | undefined, field: string): Causes {
  return each(isDNS1123Label(name ?? ""), field, name ?? "");
}

/** A list that must stay short and name nothing twice. */
export function validateSet<T>(
  items: readonly T[] | undefined,
  max: number,
  field: string,
  keyOf: ((item: T) => string) | undefined,
  check: (item: T, at: string) => Causes,
): Causes {
  const list = items ?? [];
  if (list.length > max) return [tooMany(field, list.length, max)];
  const seen = new Set<string>();
  return list.flatMap((item, i) => {
    const at = `${field}[${i}]`;
    const causes = check(item, at);
    const key = keyOf?.(item);
    if (key !== undefined && seen.has(key)) causes.push(duplicate(at, key));
    if (key !== undefined) seen.add(key);
    return causes;
  });
}

function validateExpression(expression: string, field: string): Causes {
  if (Buffer.byteLength(expression) > EXPRESSION_BYTES_MAX) return [tooLongValue(field, EXPRESSION_BYTES_MAX)];
  const compiled = environment.compile(expression);
  if (!compiled.ok) return [invalidValue(field, expression, `compilation failed: ${compiled.error}`)];
  const { type } = compiled.program;
  return type.kind === "bool" || type.kind === "dyn"
    ? []
    : [invalidValue(field, expression, `must evaluate to bool or the unknown type, not ${typeText(type)}`)];
}

export const validateSelectors = (selectors: readonly DeviceSelector[] | undefined, field: string): Causes =>
  validateSet(selectors, SELECTORS_MAX, field, undefined, ({ cel }, at) =>
    cel ? validateExpression(cel.expression ?? "", `${at}.cel.expression`) : [required(`${at}.cel`)],
  );

interface Configuration {
  opaque?: { driver?: string; parameters?: unknown };
}

/** A document of the driver's own: a JSON object, and a short one. */
export function validateRaw(data: unknown, field: string): Causes {
  if (data === undefined || data === null) return [required(field)];
  if (Buffer.byteLength(JSON.stringify(data)) > DATA_BYTES_MAX) return [tooLongValue(field, DATA_BYTES_MAX)];
  return typeof data === "object" && !Array.isArray(data)
    ? []
    : [invalidValue(field, "<value omitted>", "must be a valid JSON object")];
}

export function validateConfiguration({ opaque }: Configuration, at: string): Causes {
  if (!opaque) return [required(`${at}.opaque`)];
  return [
    ...validateDriverName(opaque.driver, `${at}.opaque.driver`),
    ...validateRaw(opaque.parameters, `${at}.opaque.parameters`),
  ];
}

export function validatePoolName(name: string | undefined, field: string): Causes {
  if (!name) return [required(field)];
  return [
    ...(name.length > POOL_NAME_LENGTH_MAX ? [tooLongValue(field, POOL_NAME_LENGTH_MAX)] : []),
    ...name.split("/").flatMap((part) => subdomain(part, field)),
  ];
}

const IDENTIFIER_LENGTH_MAX = 32;
const IDENTIFIER_HINT =
  "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";

const validateIdentifier = (name: string, field: string): Causes => [
  ...(name.length > IDENTIFIER_LENGTH_MAX ? [tooLongValue(field, IDENTIFIER_LENGTH_MAX)] : []),
  ...(/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? [] : [invalidValue(field, name, IDENTIFIER_HINT)]),
];

/** The name of an attribute or capacity: "name", or "domain/name" when it is not the driver's own. */
export function validateQualified(name: string, field: string): Causes {
  const [first = "", second, ...more] = name.split("/");
  // As the original has it: what has more parts is not looked at.
  if (more.length > 0) return [];
  if (second === undefined) return validateIdentifier(first, field);
  return [
    ...(first ? validateDriverName(first, field) : [invalidValue(field, "", "the domain must not be empty")]),
    ...(second ? validateIdentifier(second, field) : [invalidValue(field, "", "the name must not be empty")]),
  ];
}

/** The same where no driver is known: the domain is needed. */
export const validateFullyQualified = (name: string, field: string): Causes => [
  ...validateQualified(name, field),
  ...(name.includes("/")
    ? []
    : [invalidValue(field, name, "a fully qualified name must be a domain and a name separated by a slash")]),
];

export function validateToleration(t: DeviceToleration, at: string): Causes {
  const causes: Causes = t.key ? each(isQualifiedName(t.key), `${at}.key`, t.key) : [];
  if (t.operator === "Exists") {
    if (t.value) causes.push(invalidValue(`${at}.value`, t.value, "must be empty for operator `Exists`"));
  } else if (t.operator === "Equal") {
    causes.push(...each(isLabelValue(t.value ?? ""), `${at}.value`, t.value ?? ""));
  } else if (t.operator) causes.push(notSupported(`${at}.operator`, t.operator, ["Equal", "Exists"]));
  else causes.push(required(`${at}.operator`));
  return [...causes, ...(t.effect ? oneOf(t.effect, `${at}.effect`, TAINT_EFFECTS) : [])];
}
