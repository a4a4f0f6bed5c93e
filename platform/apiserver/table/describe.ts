/** What a column is: the description of the field that it shows, where it shows one. */
import { readFileSync } from "node:fs";
import { descriptionOf } from "#sdk/api/descriptions.ts";

const META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/** By resource and column: the type, below io.k8s.api, and its field. Which they are is upstream's choice (pkg/printers). */
const FIELDS = JSON.parse(readFileSync(new URL("./generated/documented.json", import.meta.url), "utf8")) as Readonly<
  Record<string, Readonly<Record<string, string>>>
>;

export function describeColumn(resource: string, column: string): string {
  if (column === "Name") return descriptionOf(META, "name") ?? "";
  if (column === "Age" || column === "Created At") return descriptionOf(META, "creationTimestamp") ?? "";
  const field = FIELDS[resource]?.[column];
  if (!field) return "";
  const dot = field.lastIndexOf(".");
  return descriptionOf(`io.k8s.api.${field.slice(0, dot)}`, field.slice(dot + 1)) ?? "";
}
