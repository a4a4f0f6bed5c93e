/**
 * A definition as upstream holds it inside: what all versions have alike (schema, subresources, columns, selectable fields) stands once, for the
 * whole, and no longer in the versions. Validation tells what is wrong where it stands there.
 */
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { type GoField, goValue } from "../registry/go-names.ts";
import { same } from "../resources/checks.ts";
import type { Definition, DefinitionVersion } from "./definition.ts";

/** Parts that versions may have alike; unset where there are none. */
export interface Parts {
  schema?: { openAPIV3Schema?: StructuralSchema };
  subresources?: DefinitionVersion["subresources"];
  additionalPrinterColumns?: DefinitionVersion["additionalPrinterColumns"];
  selectableFields?: DefinitionVersion["selectableFields"];
}

export interface Internal {
  shared: Parts;
  versions: (Omit<DefinitionVersion, keyof Parts> & Parts)[];
}

const PARTS = ["schema", "subresources", "additionalPrinterColumns", "selectableFields"] as const;

export function internalOf({ spec }: Definition): Internal {
  const [shared, versions]: [Parts, Internal["versions"]] = [{}, (spec.versions ?? []).map((v) => ({ ...v }))];
  const [first] = versions;
  for (const part of PARTS) {
    if (!first || versions.some((v) => !same(v[part], first[part]))) continue;
    if (first[part] !== undefined) Object.assign(shared, { [part]: first[part] });
    for (const version of versions) delete version[part];
  }
  return { shared, versions };
}

const COLUMN: readonly GoField[] = [
  { go: "Name", json: "name", zero: "" },
  { go: "Type", json: "type", zero: "" },
  { go: "Format", json: "format", zero: "" },
  { go: "Description", json: "description", zero: "" },
  { go: "Priority", json: "priority", zero: 0 },
  { go: "JSONPath", json: "jsonPath", zero: "" },
];
const VERSION: readonly GoField[] = [
  { go: "Name", json: "name", zero: "" },
  { go: "Served", json: "served", zero: false },
  { go: "Storage", json: "storage", zero: false },
  { go: "Deprecated", json: "deprecated", zero: false },
  { go: "DeprecationWarning", json: "deprecationWarning" },
  { go: "Schema", json: "schema" },
  {
    go: "Subresources",
    json: "subresources",
    of: [
      { go: "Status", json: "status" },
      {
        go: "Scale",
        json: "scale",
        of: [
          { go: "SpecReplicasPath", json: "specReplicasPath", zero: "" },
          { go: "StatusReplicasPath", json: "statusReplicasPath", zero: "" },
          { go: "LabelSelectorPath", json: "labelSelectorPath" },
        ],
      },
    ],
  },
  { go: "AdditionalPrinterColumns", json: "additionalPrinterColumns", of: COLUMN },
  { go: "SelectableFields", json: "selectableFields", of: [{ go: "JSONPath", json: "jsonPath", zero: "" }] },
];

/** As the original prints the list of versions when it refuses it. */
export const shownVersions = (given: unknown, { versions }: Internal): unknown =>
  given === undefined ? null : goValue(versions, VERSION);
