/** Validation of CustomResourceDefinitions, in upstream's order and words. */

import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { isDNS1035Label, isDNS1123Subdomain } from "#sdk/api/names.ts";
import { type Causes, forbiddenField, invalidValue, notSupported, required } from "../registry/causes.ts";
import { validateCosts } from "./costs.ts";
import type { Definition, DefinitionVersion } from "./definition.ts";
import { parsePath } from "./json-path.ts";
import { validateStructural } from "./structural.ts";

const COLUMN_TYPES = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS = ["binary", "bool", "byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/** The internal form that upstream prints when it refuses the list of versions: what all versions share stands elsewhere. */
function shownVersions(versions: readonly DefinitionVersion[] | undefined): unknown {
  return (
    versions?.map((v) => ({
      Name: v.name ?? "",
      Served: v.served ?? false,
      Storage: v.storage ?? false,
      Deprecated: v.deprecated ?? false,
      DeprecationWarning: v.deprecationWarning ?? null,
      Schema: null,
      Subresources: null,
      AdditionalPrinterColumns: null,
      SelectableFields: null,
    })) ?? null
  );
}

const same = (parts: readonly unknown[]) => parts.every((p) => JSON.stringify(p) === JSON.stringify(parts[0]));

/** Internally what is equal in all versions is kept once: its errors are told there. */
function placeOf(
  versions: readonly DefinitionVersion[],
  part: keyof DefinitionVersion,
  shared: string,
  i: number,
): string | undefined {
  if (!same(versions.map((v) => v[part]))) return `spec.versions[${i}].${part}`;
  return i === 0 ? shared : undefined;
}

/** Rules are held to what they may cost where the schema is new: what was accepted before stays. */
function validateSchema(
  schema: StructuralSchema,
  path: string,
  version: string | undefined,
  old: Definition | undefined,
): Causes {
  const causes = validateStructural(schema, path);
  const before = old?.spec.versions?.find(({ name }) => name === version)?.schema?.openAPIV3Schema;
  if (causes.length > 0 || (before && same([before, schema]))) return causes;
  return validateCosts(schema, path);
}

/** `old`: of an update. */
export function validateDefinition(d: Definition, old?: Definition): Causes {
  const { spec } = d;
  const names = spec.names ?? {};
  const causes: Causes = [];
  if (d.metadata.name !== `${names.plural ?? ""}.${spec.group ?? ""}`) {
    causes.push(invalidValue("metadata.name", d.metadata.name, 'must be spec.names.plural+"."+spec.group'));
  }
  causes.push(...validateGroup(spec.group ?? ""));
  if (!spec.scope) causes.push(required("spec.scope"));
  else if (spec.scope !== "Cluster" && spec.scope !== "Namespaced")
    causes.push(notSupported("spec.scope", spec.scope, ["Cluster", "Namespaced"]));
  const versions = spec.versions ?? [];
  causes.push(...validateVersions(spec.versions, old));
  for (const field of ["plural", "singular", "kind", "listKind"] as const) {
    if (!names[field]) causes.push(required(`spec.names.${field}`));
  }
  causes.push(...validateNames(d));
  causes.push(...sharedParts(versions, old));
  causes.push(...validateConversion(d));
  causes.push(...validateStored(d));
  return causes;
}

function validateGroup(group: string): Causes {
  if (group === "") return [required("spec.group")];
  const wrong = isDNS1123Subdomain(group);
  if (wrong.length > 0) return [invalidValue("spec.group", group, wrong.join(","))];
  return group.includes(".") ? [] : [invalidValue("spec.group", group, "should be a domain with at least one dot")];
}

function validateVersions(given: readonly DefinitionVersion[] | undefined, old: Definition | undefined): Causes {
  const versions = given ?? [];
  const causes: Causes = [];
  for (const [i, v] of versions.entries()) {
    if (!v.schema?.openAPIV3Schema) causes.push(required(`spec.versions[${i}].schema.openAPIV3Schema`));
  }
  for (const [i, v] of versions.entries()) {
    const wrong = isDNS1035Label(v.name ?? "");
    if (wrong.length > 0) causes.push(invalidValue(`spec.versions[${i}].name`, v.name ?? "", wrong.join(",")));
    if (v.deprecationWarning !== undefined && !v.deprecated) {
      causes.push(
        invalidValue(
          `spec.versions[${i}].deprecationWarning`,
          v.deprecationWarning,
          "can only be set for deprecated versions",
        ),
      );
    }
    const schema = v.schema?.openAPIV3Schema;
    const place = placeOf(versions, "schema", "", i);
    // What all have alike is checked once, with the other shared parts.
    if (schema && place) causes.push(...validateSchema(schema, `${place}.openAPIV3Schema`, v.name, old));
  }
  const listed = new Set(versions.map((v) => v.name));
  if (listed.size !== versions.length)
    causes.push(invalidValue("spec.versions", shownVersions(given), "must contain unique version names"));
  if (versions.filter((v) => v.storage).length !== 1)
    causes.push(
      invalidValue("spec.versions", shownVersions(given), "must have exactly one version marked as storage version"),
    );
  // Internally the first version stands alone too, and is told of there again.
  const first = versions[0]?.name;
  const odd = first ? isDNS1035Label(first) : [];
  if (odd.length > 0) causes.push(invalidValue("spec.version", first, odd.join(",")));
  return causes;
}

function validateNames({ spec }: Definition): Causes {
  const causes: Causes = [];
  const { plural, singular, kind, listKind, shortNames = [], categories = [] } = spec.names ?? {};
  const label = (field: string, value: string | undefined, prefix = "") => {
    const wrong = value ? isDNS1035Label(prefix ? value.toLowerCase() : value) : [];
    if (wrong.length > 0) causes.push(invalidValue(`spec.names.${field}`, value, prefix + wrong.join(",")));
  };
  const mixed = "may have mixed case, but should otherwise match: ";
  label("plural", plural);
  label("singular", singular);
  label("kind", kind, mixed);
  label("listKind", listKind, mixed);
  for (const [i, name] of shortNames.entries()) label(`shortNames[${i}]`, name);
  if (kind && kind === listKind)
    causes.push(invalidValue("spec.names.listKind", listKind, "kind and listKind may not be the same"));
  for (const [i, name] of categories.entries()) label(`categories[${i}]`, name);
  return causes;
}

/** Schemas, columns and subresources that all versions have alike. */
function sharedParts(versions: readonly DefinitionVersion[], old: Definition | undefined): Causes {
  const causes: Causes = [];
  const [first] = versions;
  const schema = first?.schema?.openAPIV3Schema;
  if (schema && same(versions.map((v) => v.schema)))
    causes.push(...validateSchema(schema, "spec.validation.openAPIV3Schema", first?.name, old));
  for (const [i, v] of versions.entries()) {
    const scale = placeOf(versions, "subresources", "spec.subresources", i);
    if (scale) causes.push(...validateScale(v, `${scale}.scale`));
    const columns = placeOf(versions, "additionalPrinterColumns", "spec.additionalPrinterColumns", i);
    if (columns) causes.push(...validateColumns(v, columns));
  }
  return causes;
}

function validateScale({ subresources }: DefinitionVersion, at: string): Causes {
  const scale = subresources?.scale;
  if (!scale) return [];
  const causes: Causes = [];
  const check = (
    field: "specReplicasPath" | "statusReplicasPath" | "labelSelectorPath",
    under: string[],
    why: string,
  ) => {
    const path = scale[field];
    if (!path) {
      if (field !== "labelSelectorPath") causes.push(required(`${at}.${field}`));
    } else if (!parsePath(path)) causes.push(invalidValue(`${at}.${field}`, path, "should be a simple json path"));
    else if (!under.some((prefix) => path.startsWith(prefix))) causes.push(invalidValue(`${at}.${field}`, path, why));
  };
  check("specReplicasPath", [".spec."], "should be a json path under .spec");
  check("statusReplicasPath", [".status."], "should be a json path under .status");
  check("labelSelectorPath", [".spec.", ".status."], "should be a json path under either .status or .spec");
  return causes;
}

function validateColumns({ additionalPrinterColumns = [] }: DefinitionVersion, at: string): Causes {
  const causes: Causes = [];
  for (const [i, c] of additionalPrinterColumns.entries()) {
    const where = `${at}[${i}]`;
    if (!c.name) causes.push(required(`${where}.name`));
    if (!c.type) causes.push(required(`${where}.type`, `must be one of ${COLUMN_TYPES.join(",")}`));
    else if (!COLUMN_TYPES.includes(c.type))
      causes.push(invalidValue(`${where}.type`, c.type, `must be one of ${COLUMN_TYPES.join(",")}`));
    if (c.format && !COLUMN_FORMATS.includes(c.format))
      causes.push(invalidValue(`${where}.format`, c.format, `must be one of ${COLUMN_FORMATS.join(",")}`));
    if (!c.jsonPath) causes.push(required(`${where}.JSONPath`));
    else if (!parsePath(c.jsonPath)) causes.push(invalidValue(`${where}.JSONPath`, c.jsonPath, "illegal JSON path"));
  }
  return causes;
}

function validateConversion({ spec }: Definition): Causes {
  const { conversion } = spec;
  if (!conversion) return [];
  const at = "spec.conversion";
  const { strategy, webhook } = conversion;
  if (!strategy) return [required(`${at}.strategy`)];
  if (strategy !== "None" && strategy !== "Webhook")
    return [notSupported(`${at}.strategy`, strategy, ["None", "Webhook"])];
  if (strategy === "None") {
    return webhook
      ? [forbiddenField(`${at}.webhookClientConfig`, "should not be set when strategy is not set to Webhook")]
      : [];
  }
  const client = webhook?.clientConfig;
  if (!client) return [required(`${at}.webhookClientConfig`, "required when strategy is set to Webhook")];
  const causes: Causes = [];
  if ((client.url === undefined) === (client.service === undefined))
    causes.push(required(`${at}.webhookClientConfig`, "exactly one of url or service is required"));
  if ((webhook?.conversionReviewVersions ?? []).length === 0) causes.push(required(`${at}.conversionReviewVersions`));
  else if (!webhook?.conversionReviewVersions.some((v) => v === "v1" || v === "v1beta1"))
    causes.push(
      invalidValue(
        `${at}.conversionReviewVersions`,
        webhook?.conversionReviewVersions,
        "must include at least one of v1, v1beta1",
      ),
    );
  return causes;
}

function validateStored({ spec, status }: Definition): Causes {
  const at = "status.storedVersions";
  const stored = status?.storedVersions ?? [];
  if (stored.length === 0) return [invalidValue(at, null, "must have at least one stored version")];
  const causes: Causes = [];
  const versions = spec.versions ?? [];
  const storage = versions.filter((v) => v.storage).at(-1)?.name;
  for (const [i, name] of stored.entries()) {
    if (versions.some((v) => (v.name ?? "") === name)) continue;
    const why = `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`;
    causes.push(invalidValue(`${at}[${i}]`, name, why));
  }
  if (causes.length === 0 && storage !== undefined && !stored.includes(storage))
    causes.push(invalidValue(at, stored, `must have the storage version ${storage}`));
  return causes;
}

export function validateDefinitionUpdate(next: Definition, old: Definition): Causes {
  const causes = validateDefinition(next, old).filter((c) => c.field !== "metadata.name");
  const fixed = (field: string, a: unknown, b: unknown) => {
    if (a !== b) causes.push(invalidValue(field, a, "field is immutable"));
  };
  const established = old.status?.conditions?.some((c) => c.type === "Established" && c.status === "True") === true;
  if (established) {
    fixed("spec.scope", next.spec.scope, old.spec.scope);
    fixed("spec.names.kind", next.spec.names.kind, old.spec.names.kind);
  }
  fixed("spec.group", next.spec.group, old.spec.group);
  fixed("spec.names.plural", next.spec.names.plural, old.spec.names.plural);
  return causes;
}
