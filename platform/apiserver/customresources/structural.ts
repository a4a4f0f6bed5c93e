/** What a CRD's schema itself must be: structural (KEP-1178), with upstream's messages and field paths. */
import { re2 } from "#platform/rules/cel/index.ts";
import { fieldPathIn } from "#platform/rules/structural/field-path.ts";
import { compileRules } from "#platform/rules/structural/rules.ts";
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { prune } from "#platform/rules/structural/shape.ts";
import { validateValue } from "#platform/rules/structural/values.ts";
import {
  type Causes,
  forbiddenField,
  invalidValue,
  notSupported,
  notSupportedInOrder,
  required,
} from "../registry/causes.ts";

const TYPES = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

type Level = "root" | "item" | "field";

/** All that is wrong with the schema of a version; `path` ends in "openAPIV3Schema". */
export function validateStructural(schema: StructuralSchema, path: string): Causes {
  const causes: Causes = [];
  if (schema.nullable) causes.push(forbiddenField(`${path}.nullable`, "nullable cannot be true at the root"));
  // What cannot be structural at all is not judged as if it could.
  if (!isAnywhere(schema, hasUnsupported)) {
    if (!isAnywhere(schema, (s) => Boolean((s as Sent).$schema))) shape(schema, path, "root", causes);
    else causes.push(invalidValue(path, "", "OpenAPIV3Schema 'schema' is not supported"));
  }
  extensions(schema, path, true, causes);
  return causes;
}

/** Parts of JSON Schema that Kubernetes does not speak, by the field, and why. */
const UNSUPPORTED = ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] as const;

/** A schema as it was sent: with what the type leaves out. */
type Sent = Readonly<Partial<Record<(typeof UNSUPPORTED)[number], unknown>>> & {
  items?: unknown;
  $schema?: string;
};

/** These are seen by what they hold; the others when they are there at all. */
const BY_CONTENT: ReadonlySet<string> = new Set(["id", "patternProperties", "definitions"]);

const uses = (sent: Sent, field: (typeof UNSUPPORTED)[number]): boolean =>
  BY_CONTENT.has(field) ? Object.keys(sent[field] ?? {}).length > 0 : sent[field] !== undefined;

function unsupported(s: StructuralSchema, path: string): Causes {
  const sent = s as Sent;
  const causes = UNSUPPORTED.filter((field) => uses(sent, field)).map((field) =>
    forbiddenField(`${path}.${field}`, `${field} is not supported`),
  );
  if (Array.isArray(sent.items))
    causes.push(forbiddenField(`${path}.items`, "items must be a schema object and not an array"));
  if (s.type === "null")
    causes.push(forbiddenField(`${path}.type`, "type cannot be set to null, use nullable as an alternative"));
  return causes;
}

function hasUnsupported(s: StructuralSchema): boolean {
  const sent = s as Sent;
  return Array.isArray(sent.items) || UNSUPPORTED.some((field) => uses(sent, field));
}

function isAnywhere(s: StructuralSchema, what: (s: StructuralSchema) => boolean): boolean {
  if (what(s)) return true;
  const parts = [
    ...Object.values(s.properties ?? {}),
    ...[s.additionalProperties, s.items, s.not].filter((part) => typeof part === "object"),
    ...[s.allOf, s.anyOf, s.oneOf].flatMap((list) => list ?? []),
  ];
  return parts.some((part) => isAnywhere(part, what));
}

const MISSING: Record<Level, string> = {
  root: "must not be empty at the root",
  item: "must not be empty for specified array items",
  field: "must not be empty for specified object fields",
};

function shape(s: StructuralSchema, path: string, level: Level, causes: Causes): void {
  const embedded = s["x-kubernetes-embedded-resource"] === true;
  const intOrString = s["x-kubernetes-int-or-string"] === true;
  const keeps = s["x-kubernetes-preserve-unknown-fields"] === true;
  if (s.type === "array" && !s.items) causes.push(required(`${path}.items`, "must be specified"));
  if (s.items) shape(s.items, `${path}.items`, "item", causes);
  for (const [name, property] of Object.entries(s.properties ?? {})) {
    if (level === "root" && (name === "apiVersion" || name === "kind") && property.type !== "string") {
      causes.push(invalidValue(`${path}.properties[${name}].type`, property.type ?? "", "must be string"));
    }
    shape(property, `${path}.properties[${name}]`, "field", causes);
  }
  if (typeof s.additionalProperties === "object") {
    if (level === "root") causes.push(forbiddenField(`${path}.additionalProperties`, "must not be used at the root"));
    shape(s.additionalProperties, `${path}.additionalProperties`, "field", causes);
  }
  if (embedded && s.type !== "object") {
    const why = "must be object if x-kubernetes-embedded-resource is true";
    causes.push(s.type ? invalidValue(`${path}.type`, s.type, why) : required(`${path}.type`, why));
  } else if (!s.type && !intOrString && !keeps) causes.push(required(`${path}.type`, MISSING[level]));
  if (embedded && s.additionalProperties) {
    causes.push(
      forbiddenField(`${path}.additionalProperties`, "must not be used if x-kubernetes-embedded-resource is set"),
    );
  }
  if (level === "root" && s.type && s.type !== "object")
    causes.push(invalidValue(`${path}.type`, s.type, "must be object at the root"));
  if (embedded && !keeps && Object.keys(s.properties ?? {}).length === 0) {
    const why =
      "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
    causes.push(required(`${path}.properties`, why));
  }
  if (level === "root" || embedded) rootMetadata(s, path, causes);
  if (intOrString && keeps)
    causes.push(
      invalidValue(
        `${path}.x-kubernetes-preserve-unknown-fields`,
        true,
        "must be false if x-kubernetes-int-or-string is true",
      ),
    );
  if (intOrString && embedded)
    causes.push(
      invalidValue(
        `${path}.x-kubernetes-embedded-resource`,
        true,
        "must be false if x-kubernetes-int-or-string is true",
      ),
    );
  logic(s, path, causes);
}

function rootMetadata(s: StructuralSchema, path: string, causes: Causes): void {
  const metadata = s.properties?.metadata;
  if (!metadata) return;
  const at = `${path}.properties[metadata]`;
  if (metadata.type !== "object") causes.push(invalidValue(`${at}.type`, metadata.type ?? "", "must be object"));
  const { type: _, description: __, properties, ...rest } = metadata;
  const names = Object.keys(properties ?? {}).filter((name) => name !== "name" && name !== "generateName");
  if (Object.keys(rest).length > 0 || names.length > 0) {
    const why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
    causes.push(forbiddenField(at, why));
  }
}

const NESTED_FORBIDDEN: [keyof StructuralSchema, string][] = [
  ["default", "must be undefined to be structural"],
  ["description", "must be empty to be structural"],
  ["nullable", "must be false to be structural"],
  ["x-kubernetes-preserve-unknown-fields", "must be false to be structural"],
  ["x-kubernetes-embedded-resource", "must be false to be structural"],
  ["x-kubernetes-int-or-string", "must be false to be structural"],
  ["x-kubernetes-list-map-keys", "must be empty to be structural"],
  ["x-kubernetes-list-type", "must be undefined to be structural"],
  ["x-kubernetes-map-type", "must be undefined to be structural"],
  ["x-kubernetes-validations", "must be empty to be structural"],
];

function logic(s: StructuralSchema, path: string, causes: Causes): void {
  if (s.pattern) checkPattern(s.pattern, `${path}.pattern`, causes);
  const intOrStringAllowed = s["x-kubernetes-int-or-string"] === true;
  for (const key of ["allOf", "anyOf", "oneOf"] as const) {
    for (const [i, part] of (s[key] ?? []).entries()) nested(part, `${path}.${key}[${i}]`, intOrStringAllowed, causes);
  }
  if (s.not) nested(s.not, `${path}.not`, false, causes);
}

function nested(s: StructuralSchema, path: string, typed: boolean, causes: Causes): void {
  if (s.type && !typed) causes.push(forbiddenField(`${path}.type`, "must be empty to be structural"));
  if (s.additionalProperties)
    causes.push(forbiddenField(`${path}.additionalProperties`, "must be undefined to be structural"));
  for (const [key, why] of NESTED_FORBIDDEN) {
    if (s[key] !== undefined && s[key] !== false) causes.push(forbiddenField(`${path}.${key}`, why));
  }
  if (s.items) nested(s.items, `${path}.items`, false, causes);
  for (const [name, property] of Object.entries(s.properties ?? {}))
    nested(property, `${path}.properties[${name}]`, false, causes);
  logic(s, path, causes);
}

function checkPattern(pattern: string, path: string, causes: Causes): void {
  try {
    re2(pattern);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    causes.push(invalidValue(path, pattern, `must be a valid regular expression, but isn't: ${why}`));
  }
}

function extensions(s: StructuralSchema, path: string, root: boolean, causes: Causes): void {
  if (s.uniqueItems)
    causes.push(
      forbiddenField(
        `${path}.uniqueItems`,
        "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
      ),
    );
  if (s.additionalProperties !== undefined && s.additionalProperties !== false && s.properties)
    causes.push(
      forbiddenField(`${path}.additionalProperties`, "additionalProperties and properties are mutual exclusive"),
    );
  for (const [name, property] of Object.entries(s.properties ?? {}))
    extensions(property, `${path}.properties[${name}]`, false, causes);
  if (typeof s.additionalProperties === "object")
    extensions(s.additionalProperties, `${path}.additionalProperties`, false, causes);
  if (s.items && !Array.isArray(s.items)) extensions(s.items, `${path}.items`, false, causes);
  causes.push(...unsupported(s, path));
  defaults(s, path, causes);
  if (s.type && !TYPES.includes(s.type)) causes.push(notSupported(`${path}.type`, s.type, TYPES));
  if (s["x-kubernetes-preserve-unknown-fields"] === false)
    causes.push(invalidValue(`${path}.x-kubernetes-preserve-unknown-fields`, false, "must be true or undefined"));
  const typed = (wanted: string, why: string) => {
    if (!s.type) causes.push(required(`${path}.type`, why));
    else if (s.type !== wanted) causes.push(invalidValue(`${path}.type`, s.type, why));
  };
  const mapType = s["x-kubernetes-map-type"];
  if (mapType !== undefined) {
    typed("object", "must be object if x-kubernetes-map-type is specified");
    if (mapType !== "atomic" && mapType !== "granular")
      causes.push(notSupported(`${path}.x-kubernetes-map-type`, mapType, ["atomic", "granular"]));
  }
  if (s["x-kubernetes-list-type"] !== undefined) typed("array", "must be array if x-kubernetes-list-type is specified");
  lists(s, path, causes);
  rules(s, path, root, causes);
}

function defaults(s: StructuralSchema, path: string, causes: Causes): void {
  if (s.default === undefined) return;
  const at = `${path}.default`;
  const value = structuredClone(s.default);
  const dropped = prune(value, s, s["x-kubernetes-embedded-resource"] === true);
  if (dropped.length > 0) causes.push(invalidValue(at, s.default, "must not have unknown fields"));
  for (const cause of validateValue(s.default, s, ""))
    causes.push({ ...cause, field: cause.field ? `${at}.${cause.field}` : at });
}

function lists(s: StructuralSchema, path: string, causes: Causes): void {
  const type = s["x-kubernetes-list-type"];
  const keys = s["x-kubernetes-list-map-keys"] ?? [];
  const { items } = s;
  if (type !== undefined && !["atomic", "set", "map"].includes(type))
    causes.push(notSupportedInOrder(`${path}.x-kubernetes-list-type`, type, ["atomic", "set", "map"]));
  if (type === "set" && items) {
    const why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    if (
      items.type === "array" &&
      items["x-kubernetes-list-type"] !== undefined &&
      items["x-kubernetes-list-type"] !== "atomic"
    )
      causes.push(invalidValue(`${path}.items.x-kubernetes-list-type`, items["x-kubernetes-list-type"], why));
    if (items.type === "object" && items["x-kubernetes-map-type"] !== "atomic")
      causes.push(invalidValue(`${path}.items.x-kubernetes-map-type`, items["x-kubernetes-map-type"] ?? null, why));
  }
  if (keys.length > 0 && type !== "map") {
    const why = "must be map if x-kubernetes-list-map-keys is non-empty";
    const at = `${path}.x-kubernetes-list-type`;
    causes.push(type === undefined ? required(at, why) : invalidValue(at, type, why));
  }
  if (type !== "map") return;
  if (keys.length === 0)
    causes.push(required(`${path}.x-kubernetes-list-map-keys`, "must not be empty if x-kubernetes-list-type is map"));
  if (!items) return void causes.push(required(`${path}.items`, "must have a schema if x-kubernetes-list-type is map"));
  if (items.type !== "object")
    causes.push(
      invalidValue(
        `${path}.items.type`,
        items.type ?? "",
        "must be object if parent array's x-kubernetes-list-type is map",
      ),
    );
  const at = `${path}.x-kubernetes-list-map-keys`;
  for (const [i, key] of keys.entries()) {
    const property = items.properties?.[key];
    if (!property) causes.push(invalidValue(at, keys, "entries must all be names of item properties"));
    else if (property.type === "object" || property.type === "array") {
      const why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
      causes.push(invalidValue(`${path}.items.properties[${key}].type`, items.type, why));
    } else if (!items.required?.includes(key) && property.default === undefined) {
      const why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
      causes.push(required(`${path}.items.properties[${key}].default`, why));
    }
    if (keys.indexOf(key) !== i) causes.push(invalidValue(at, keys, "must not contain duplicate entries"));
  }
}

const hasLines = (text: string) => /[\n\r]/.test(text);

function rules(s: StructuralSchema, path: string, root: boolean, causes: Causes): void {
  const all = s["x-kubernetes-validations"] ?? [];
  if (all.length === 0) return;
  for (const [i, rule] of all.entries()) {
    const at = `${path}.x-kubernetes-validations[${i}]`;
    if (!rule.rule?.trim()) causes.push(required(`${at}.rule`, "rule is not specified"));
    else if (rule.message !== undefined && rule.message.trim() === "" && rule.message !== "")
      causes.push(invalidValue(`${at}.message`, rule.message, "must be non-empty if specified"));
    else if (hasLines(rule.message?.trim() ?? ""))
      causes.push(invalidValue(`${at}.message`, rule.message, "must not contain line breaks"));
    else if (hasLines(rule.rule.trim()) && !rule.message?.trim())
      causes.push(required(`${at}.message`, "message must be specified if rule contains line breaks"));
    if (rule.reason !== undefined && !REASONS.includes(rule.reason))
      causes.push(notSupported(`${at}.reason`, rule.reason, REASONS));
    const { fieldPath } = rule;
    if (!fieldPath) continue;
    const wrong = (why: string) => causes.push(invalidValue(`${at}.fieldPath`, fieldPath, why));
    if (fieldPath.trim() === "") wrong("must be non-empty if specified");
    if (hasLines(fieldPath)) wrong("must not contain line breaks");
    if (fieldPathIn(s, fieldPath) === undefined) wrong("must be a valid path");
  }
  for (const [i, compiled] of compileRules(s, root).rules.entries()) {
    const at = `${path}.x-kubernetes-validations[${i}]`;
    const { rule, error, messageError, usesOldSelf } = compiled;
    if (!rule.rule?.trim()) continue;
    const shown = {
      Rule: rule.rule,
      Message: rule.message ?? "",
      MessageExpression: rule.messageExpression ?? "",
      Reason: rule.reason ?? null,
      FieldPath: rule.fieldPath ?? "",
      OptionalOldSelf: rule.optionalOldSelf ?? null,
    };
    if (error) causes.push(invalidValue(`${at}.rule`, shown, error));
    if (messageError) causes.push(invalidValue(`${at}.messageExpression`, shown, messageError));
    if (!error && rule.optionalOldSelf !== undefined && !usesOldSelf)
      causes.push(
        invalidValue(`${at}.optionalOldSelf`, rule.optionalOldSelf, "may not be set if oldSelf is not used in rule"),
      );
  }
}
