/** Validation of CustomResourceDefinitions, in upstream's words (apiextensions-apiserver's apis/apiextensions/validation). */
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { isDNS1035Label, isDNS1123Subdomain } from "#sdk/api/names.ts";
import { type Causes, invalidValue, notSupportedInOrder, required } from "../registry/causes.ts";
import { immutable, same } from "../resources/checks.ts";
import { validateCosts } from "./costs.ts";
import { type Definition, type DefinitionVersion, holds } from "./definition.ts";
import { type Internal, internalOf, type Parts, shownVersions } from "./internal.ts";
import {
  validateColumns,
  validateConversion,
  validateNames,
  validateSelectable,
  validateSubresources,
} from "./parts.ts";
import { validateStructural } from "./structural.ts";

const SCOPES = ["Cluster", "Namespaced"];
const WARNING_BYTES_MAX = 256;
const APPROVED = "api-approved.kubernetes.io";
const PULL_REQUEST = "see https://github.com/kubernetes/enhancements/pull/1111";

/** Rules are held to what they may cost where the schema is new: what was accepted before stays. */
function validateSchema(
  { schema: held, subresources }: Parts,
  at: string,
  version: string | undefined,
  old: Definition | undefined,
): Causes {
  const schema = held?.openAPIV3Schema;
  if (!schema) return [];
  const path = `${at}.openAPIV3Schema`;
  const causes = [...(subresources?.status ? validateRoot(schema, path) : []), ...validateStructural(schema, path)];
  const before = old?.spec.versions?.find(({ name }) => name === version)?.schema?.openAPIV3Schema;
  if (causes.length > 0 || (before && same(before, schema))) return causes;
  return validateCosts(schema, path);
}

/** In the order in which upstream lists them. */
const AT_ROOT = {
  description: "Description",
  type: "Type",
  format: "Format",
  title: "Title",
  maximum: "Maximum",
  exclusiveMaximum: "ExclusiveMaximum",
  minimum: "Minimum",
  exclusiveMinimum: "ExclusiveMinimum",
  maxLength: "MaxLength",
  minLength: "MinLength",
  pattern: "Pattern",
  maxItems: "MaxItems",
  minItems: "MinItems",
  uniqueItems: "UniqueItems",
  multipleOf: "MultipleOf",
  required: "Required",
  items: "Items",
  properties: "Properties",
  externalDocs: "ExternalDocs",
  example: "Example",
  "x-kubernetes-preserve-unknown-fields": "XPreserveUnknownFields",
  "x-kubernetes-validations": "XValidations",
} as const;
const WITH_STATUS = "root of the schema if the status subresource is enabled";

function validateRoot(schema: StructuralSchema, path: string): Causes {
  if (schema.type && schema.type !== "object")
    return [invalidValue(`${path}.type`, schema.type, `only "object" is allowed as the type at the ${WITH_STATUS}`)];
  if (Object.keys(schema).every((field) => Object.hasOwn(AT_ROOT, field))) return [];
  const allowed = Object.values(AT_ROOT).join(" ");
  return [invalidValue(path, schema, `only [${allowed}] fields are allowed at the ${WITH_STATUS}`)];
}

/** What stands once for all versions, or in one of them. `status`: whose schema it is has a status subresource. */
function validateParts(
  parts: Parts,
  at: string,
  schemaAt: string,
  version: { name: string | undefined; status: boolean },
  old: Definition | undefined,
): Causes {
  const { selectableFields, schema } = parts;
  const root = schema?.openAPIV3Schema;
  const before = old?.spec.versions?.find(({ name }) => name === version.name)?.selectableFields;
  const selectable = `${at}.selectableFields`;
  const causes = [
    ...validateSchema(
      { ...parts, subresources: version.status ? { status: {} } : {} },
      `${at}.${schemaAt}`,
      version.name,
      old,
    ),
    ...validateSubresources(parts, `${at}.subresources`),
    ...validateColumns(parts, `${at}.additionalPrinterColumns`),
  ];
  if (!selectableFields?.length) return causes;
  // Fields of one version only cannot be looked up in a schema that is everybody's.
  const missing =
    schemaAt === "schema"
      ? "may only be set when `version.schema.openAPIV3Schema` is not included"
      : "may only be set when validations.schema is included";
  const unchanged = before !== undefined && same(before, selectableFields);
  return [
    ...causes,
    ...(root ? validateSelectable(parts, root, selectable, unchanged) : [invalidValue(selectable, "", missing)]),
  ];
}

function validateWarning(
  { deprecated, deprecationWarning: warning }: Partial<DefinitionVersion>,
  field: string,
): Causes {
  const wrong = (why: string) => invalidValue(field, warning, why);
  if (warning === undefined) return [];
  if (!deprecated) return [wrong("can only be set for deprecated versions")];
  const causes: Causes = [];
  if (Buffer.byteLength(warning) > WARNING_BYTES_MAX)
    causes.push(wrong(`must be <= ${WARNING_BYTES_MAX} characters long`));
  if (warning === "") causes.push(wrong("must not be an empty string"));
  const odd = /[^\P{C}]|[^\P{Z} ]/u.exec(warning);
  if (odd) {
    const at = Buffer.byteLength(warning.slice(0, odd.index));
    const why = "must only contain printable UTF-8 characters; non-printable character found at index";
    causes.push(wrong(`${why} ${at}`));
  }
  return causes;
}

function validateVersions({ spec }: Definition, internal: Internal, old: Definition | undefined): Causes {
  const given = spec.versions ?? [];
  const { shared, versions } = internal;
  const status = (parts: Parts) =>
    parts.subresources?.status !== undefined || shared.subresources?.status !== undefined;
  const causes = given.flatMap((v, i) =>
    v.schema?.openAPIV3Schema ? [] : [required(`spec.versions[${i}].schema.openAPIV3Schema`)],
  );
  for (const [i, version] of versions.entries()) {
    const at = `spec.versions[${i}]`;
    const wrong = isDNS1035Label(version.name ?? "");
    if (wrong.length > 0) causes.push(invalidValue(`${at}.name`, version.name ?? "", wrong.join(",")));
    causes.push(
      ...validateWarning(version, `${at}.deprecationWarning`),
      ...validateParts(version, at, "schema", { name: version.name, status: status(version) }, old),
    );
  }
  const refuse = (why: string) =>
    causes.push(invalidValue("spec.versions", shownVersions(spec.versions, internal), why));
  if (new Set(given.map(({ name }) => name)).size !== given.length) refuse("must contain unique version names");
  if (given.filter(({ storage }) => storage).length !== 1)
    refuse("must have exactly one version marked as storage version");
  // Inside, the first version stands alone too, and is told of there again.
  const first = given[0]?.name;
  const odd = first ? isDNS1035Label(first) : [];
  if (odd.length > 0) causes.push(invalidValue("spec.version", first, odd.join(",")));
  return causes;
}

function validateGroup(group: string): Causes {
  if (group === "") return [required("spec.group")];
  const wrong = isDNS1123Subdomain(group);
  if (wrong.length > 0) return [invalidValue("spec.group", group, wrong.join(","))];
  return group.includes(".") ? [] : [invalidValue("spec.group", group, "should be a domain with at least one dot")];
}

function validateScope(scope: string | undefined): Causes {
  if (!scope) return [required("spec.scope")];
  return SCOPES.includes(scope) ? [] : [notSupportedInOrder("spec.scope", scope, SCOPES)];
}

type Approval = "missing" | "bypassed" | "approved" | "invalid";

function approvalOf({ metadata }: Definition): Approval {
  const text = metadata.annotations?.[APPROVED] ?? "";
  if (text === "") return "missing";
  if (text.startsWith("unapproved")) return "bypassed";
  return URL.canParse(text) && new URL(text).host !== "" ? "approved" : "invalid";
}

/** Groups of Kubernetes' own need to say where they were approved (KEP-1111). */
function validateApproval(next: Definition, old: Definition | undefined): Causes {
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(next.spec.group ?? "")) return [];
  const approval = approvalOf(next);
  if (approval === "approved" || approval === "bypassed" || (old && approvalOf(old) === approval)) return [];
  const field = `metadata.annotations[${APPROVED}]`;
  const needed = `protected groups must have approval annotation ${JSON.stringify(APPROVED)}`;
  if (approval === "missing") return [required(field, `${needed}, ${PULL_REQUEST}`)];
  const how = `${needed} with either a URL or a reason starting with "unapproved", ${PULL_REQUEST}`;
  return [invalidValue(field, next.metadata.annotations?.[APPROVED], how)];
}

function validateStored({ spec, status }: Definition): Causes {
  const at = "status.storedVersions";
  const stored = status?.storedVersions ?? [];
  if (stored.length === 0) return [invalidValue(at, null, "must have at least one stored version")];
  const versions = spec.versions ?? [];
  return [
    ...versions
      .filter(({ name, storage }) => storage && !stored.includes(name ?? ""))
      .map(({ name }) => invalidValue(at, stored, `must have the storage version ${name ?? ""}`)),
    ...stored.flatMap((name, i) => {
      if (versions.some((v) => (v.name ?? "") === name)) return [];
      const why = `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`;
      return [invalidValue(`${at}[${i}]`, name, why)];
    }),
  ];
}

function validateSpec(d: Definition, old: Definition | undefined): Causes {
  const { spec } = d;
  const internal = internalOf(d);
  const { shared, versions } = internal;
  const first = versions[0]?.name;
  const hasStatus = [shared, ...versions].some(({ subresources }) => subresources?.status !== undefined);
  return [
    ...validateGroup(spec.group ?? ""),
    ...validateScope(spec.scope),
    ...validateVersions(d, internal, old),
    ...(["plural", "singular", "kind", "listKind"] as const).flatMap((field) =>
      spec.names?.[field] ? [] : [required(`spec.names.${field}`)],
    ),
    ...validateNames(spec.names, "spec.names"),
    ...validateParts(shared, "spec", "validation", { name: first, status: hasStatus }, old),
    ...validateConversion(d, old),
  ];
}

const KEEPS_UNKNOWN =
  "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";

const validateRest = (d: Definition, old?: Definition): Causes => [
  ...validateNames(d.status?.acceptedNames, "status.acceptedNames"),
  ...validateStored(d),
  ...validateApproval(d, old),
  ...(d.spec.preserveUnknownFields && !old?.spec.preserveUnknownFields
    ? [invalidValue("spec.preserveUnknownFields", true, KEEPS_UNKNOWN)]
    : []),
];

export function validateDefinition(d: Definition): Causes {
  const wanted = `${d.spec.names?.plural ?? ""}.${d.spec.group ?? ""}`;
  const named =
    d.metadata.name === wanted
      ? []
      : [invalidValue("metadata.name", d.metadata.name, 'must be spec.names.plural+"."+spec.group')];
  return [...named, ...validateSpec(d, undefined), ...validateRest(d)];
}

export function validateDefinitionUpdate(next: Definition, old: Definition): Causes {
  const [names, before] = [next.spec.names, old.spec.names];
  return [
    ...validateSpec(next, old),
    ...(holds(old, "Established")
      ? [
          ...immutable("spec.scope", next.spec.scope ?? "", old.spec.scope),
          ...immutable("spec.names.kind", names?.kind ?? "", before.kind),
        ]
      : []),
    ...immutable("spec.group", next.spec.group ?? "", old.spec.group),
    ...immutable("spec.names.plural", names?.plural ?? "", before.plural),
    ...validateRest(next, old),
  ];
}
