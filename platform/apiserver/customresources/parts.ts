/** Validation of what a CRD says beside its schemas: names, subresources, columns, selectable fields and conversion, in upstream's words. */
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { isDNS1035Label } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupportedInOrder,
  required,
  tooMany,
} from "../registry/causes.ts";
import { validateClientConfig, validateReviewVersions } from "../resources/admissionregistration/webhooks.ts";
import type { Definition, DefinitionNames } from "./definition.ts";
import type { Parts } from "./internal.ts";

const COLUMN_TYPES = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const SELECTABLE_MAX = 8;
const SELECTABLE_TYPES = ["string", "boolean", "integer"];
const MIXED = "may have mixed case, but should otherwise match: ";

const label = (field: string, value: string | undefined, prefix = ""): Causes => {
  const wrong = value ? isDNS1035Label(prefix ? value.toLowerCase() : value) : [];
  return wrong.length > 0 ? [invalidValue(field, value, prefix + wrong.join(","))] : [];
};

export function validateNames(names: Partial<DefinitionNames> | undefined, at: string): Causes {
  const { plural, singular, kind, listKind, shortNames = [], categories = [] } = names ?? {};
  const each = (list: readonly string[], field: string) =>
    list.flatMap((name, i) => {
      const wrong = isDNS1035Label(name);
      return wrong.length > 0 ? [invalidValue(`${at}.${field}[${i}]`, name, wrong.join(","))] : [];
    });
  return [
    ...label(`${at}.plural`, plural),
    ...label(`${at}.singular`, singular),
    ...label(`${at}.kind`, kind, MIXED),
    ...label(`${at}.listKind`, listKind, MIXED),
    ...each(shortNames, "shortNames"),
    ...(kind && kind === listKind
      ? [invalidValue(`${at}.listKind`, listKind, "kind and listKind may not be the same")]
      : []),
    ...each(categories, "categories"),
  ];
}

/** Where a number of replicas stands, and the paths it may stand under. */
function validatePath(path: string, field: string, under: readonly string[], why: string): Causes {
  if (!path.startsWith(".")) return [invalidValue(field, path, "must be a simple json path starting with .")];
  return under.some((prefix) => path.startsWith(prefix)) ? [] : [invalidValue(field, path, why)];
}

export function validateSubresources({ subresources }: Parts, at: string): Causes {
  const scale = subresources?.scale;
  if (!scale) return [];
  const { specReplicasPath: spec, statusReplicasPath: status, labelSelectorPath: selector } = scale;
  const field = (name: string) => `${at}.scale.${name}`;
  return [
    ...(spec
      ? validatePath(spec, field("specReplicasPath"), [".spec."], "should be a json path under .spec")
      : [required(field("specReplicasPath"))]),
    ...(status
      ? validatePath(status, field("statusReplicasPath"), [".status."], "should be a json path under .status")
      : [required(field("statusReplicasPath"))]),
    ...(selector
      ? validatePath(
          selector,
          field("labelSelectorPath"),
          [".spec.", ".status."],
          "should be a json path under either .spec or .status",
        )
      : []),
  ];
}

export function validateColumns({ additionalPrinterColumns = [] }: Parts, at: string): Causes {
  return additionalPrinterColumns.flatMap(({ name, type, format, jsonPath }, i) => {
    const where = `${at}[${i}]`;
    const causes: Causes = name ? [] : [required(`${where}.name`)];
    if (!type) causes.push(required(`${where}.type`, `must be one of ${COLUMN_TYPES.join(",")}`));
    else if (!COLUMN_TYPES.includes(type))
      causes.push(invalidValue(`${where}.type`, type, `must be one of ${COLUMN_TYPES.join(",")}`));
    if (format && !COLUMN_FORMATS.includes(format))
      causes.push(invalidValue(`${where}.format`, format, `must be one of ${COLUMN_FORMATS.join(",")}`));
    if (!jsonPath) causes.push(required(`${where}.JSONPath`));
    else causes.push(...validatePath(jsonPath, `${where}.JSONPath`, ["."], ""));
    return causes;
  });
}

/** What a simple path leads to in the schema; a text says why it leads nowhere. */
function schemaAt(path: string, root: StructuralSchema): StructuralSchema | string {
  let schema: StructuralSchema | undefined = root;
  const tokens = path.split(/([.[\]])/).filter((token) => token !== "");
  for (let i = 0; i < tokens.length; i += 2) {
    const [mark = "", name] = [tokens[i], tokens[i + 1]];
    if (mark === "[") return "array notation is not allowed";
    if (mark !== ".") return `expected [ or . but got: ${mark}`;
    if (name === undefined) return "unexpected end of JSON path";
    const { properties, additionalProperties }: StructuralSchema = schema;
    if (properties) schema = Object.hasOwn(properties, name) ? properties[name] : undefined;
    else schema = typeof additionalProperties === "object" ? additionalProperties : undefined;
    if (!schema) return "does not refer to a valid field";
  }
  return schema;
}

/** Paths by which custom resources can be selected (KEP-4358). `unchanged`: they are as they were, however many. */
export function validateSelectable(
  { selectableFields = [] }: Parts,
  root: StructuralSchema,
  at: string,
  unchanged: boolean,
): Causes {
  const seen = new Set<string>();
  const causes = selectableFields.flatMap(({ jsonPath }, i): Causes => {
    const field = `${at}[${i}].jsonPath`;
    if (!jsonPath) return [required(field)];
    const schema = schemaAt(jsonPath, root);
    if (typeof schema === "string") return [invalidValue(field, jsonPath, `is an invalid path: ${schema}`)];
    const found: Causes = [];
    if (jsonPath.split(".")[1] === "metadata")
      found.push(invalidValue(field, jsonPath, "must not point to fields in metadata"));
    if (!SELECTABLE_TYPES.includes(schema.type ?? ""))
      found.push(
        invalidValue(
          field,
          jsonPath,
          "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
        ),
      );
    if (seen.has(jsonPath)) found.push(duplicate(field, jsonPath));
    seen.add(jsonPath);
    return found;
  });
  if (seen.size > SELECTABLE_MAX && !unchanged) causes.push(tooMany(at, seen.size, SELECTABLE_MAX));
  return causes;
}

const CONVERSIONS = ["None", "Webhook"];
const NOT_A_WEBHOOK = "should not be set when strategy is not set to Webhook";

/** `old`: review versions that were good for nothing may stay so. */
export function validateConversion({ spec }: Definition, old: Definition | undefined): Causes {
  const { conversion } = spec;
  if (!conversion) return [];
  const at = "spec.conversion";
  const { strategy, webhook } = conversion;
  const versions = webhook?.conversionReviewVersions ?? [];
  const causes: Causes = [];
  if (!strategy) causes.push(required(`${at}.strategy`));
  else if (!CONVERSIONS.includes(strategy)) causes.push(notSupportedInOrder(`${at}.strategy`, strategy, CONVERSIONS));
  if (strategy !== "Webhook") {
    if (webhook?.clientConfig) causes.push(forbiddenField(`${at}.webhookClientConfig`, NOT_A_WEBHOOK));
    if (versions.length > 0) causes.push(forbiddenField(`${at}.conversionReviewVersions`, NOT_A_WEBHOOK));
    return causes;
  }
  const before = old?.spec.conversion?.webhook?.conversionReviewVersions ?? [];
  const known = before.length === 0 || before.some((v) => v === "v1" || v === "v1beta1");
  return [
    ...causes,
    ...(webhook?.clientConfig
      ? validateClientConfig(webhook.clientConfig, `${at}.webhookClientConfig`)
      : [required(`${at}.webhookClientConfig`, "required when strategy is set to Webhook")]),
    ...validateReviewVersions(versions, `${at}.conversionReviewVersions`, known, ""),
  ];
}
