/** Tables of custom resources: the columns that their definition names. */
import type { KubeObject } from "#sdk/api/object.ts";
import { humanDuration } from "../table/format.ts";
import { type Cell, type Column, NAME, nameOf, type Printer } from "../table/printer.ts";
import type { DefinitionVersion, PrinterColumn } from "./definition.ts";
import { findAll, parsePath } from "./json-path.ts";

const AGE: PrinterColumn = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };

function text(value: unknown): string {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

function cell(type: string, found: readonly unknown[], now: number): Cell {
  const [first] = found;
  if (found.length === 0 || first === undefined || first === null) return null;
  switch (type) {
    case "integer":
      return typeof first === "number" ? Math.trunc(first) : null;
    case "number":
      return typeof first === "number" ? first : null;
    case "boolean":
      return typeof first === "boolean" ? first : null;
    case "date": {
      const time = typeof first === "string" ? Date.parse(first) : Number.NaN;
      if (typeof first !== "string") return null;
      return Number.isNaN(time) ? "<invalid>" : humanDuration(now - time);
    }
    default:
      return text(first);
  }
}

export function printerOf(version: DefinitionVersion): Printer {
  const columns = version.additionalPrinterColumns?.length ? version.additionalPrinterColumns : [AGE];
  const paths = columns.map((c) => parsePath(c.jsonPath) ?? []);
  return {
    columns: [
      NAME,
      ...columns.map(
        (c): Column => ({
          name: c.name,
          type: c.type,
          format: c.format ?? "",
          description: c.description ?? "",
          priority: c.priority ?? 0,
        }),
      ),
    ],
    cells: (object: KubeObject, now: number) => [
      nameOf(object),
      ...columns.map((c, i) => cell(c.type, findAll(object, paths[i] ?? []), now)),
    ],
  };
}
