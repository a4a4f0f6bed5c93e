/** Adds to the schemas how Go reads and writes their fields (./golang prints it): what clients of upstream see and OpenAPI does not say. */
import { readFileSync } from "node:fs";
import type { Json } from "../object.ts";
import type { Schema } from "../schema.ts";

interface GoField {
  type: string;
  path?: string;
  pointer?: boolean;
  zero?: Json;
}
type GoTypes = Record<string, { fields: Record<string, GoField> }>;

/** "v1.PodSpec" of "io.k8s.api.core.v1.PodSpec". */
const goName = (definition: string): string => definition.split(".").slice(-2).join(".");

/** The Go type that a schema usually stands for; only others are written into the facts. */
export function usualGoType(schema: Schema): string {
  if (schema.ref !== undefined) return goName(schema.ref);
  if (schema.items) return `[]${usualGoType(schema.items)}`;
  if (schema.values) return `map[string]${usualGoType(schema.values)}`;
  if (schema.type === "integer") return schema.format ?? "int64";
  if (schema.type === "number") return "float64";
  return schema.type === "boolean" ? "bool" : "string";
}

/**
 * Lists of which upstream's defaulting or validation asks whether they are there, not whether they hold something: an empty one that was sent
 * must be seen.
 */
const TOLD_FROM_ABSENT: ReadonlySet<string> = new Set(["io.k8s.api.autoscaling.v2.HPAScalingRules.policies"]);

/** A struct's zero is written as {} and filled by its own fields' zeros. */
const zeroOf = (zero: Json): Json => (typeof zero === "object" && zero !== null && !Array.isArray(zero) ? {} : zero);

export function addGoFacts(types: Record<string, Schema>, file: string): void {
  const golang = JSON.parse(readFileSync(file, "utf8")) as GoTypes;
  for (const [definition, schema] of Object.entries(types)) {
    const go = golang[definition];
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      const facts = go?.fields[name];
      if (!facts) {
        // Ours: kept as sent, like a custom resource.
        field.pointer = true;
        continue;
      }
      if (facts.pointer || TOLD_FROM_ABSENT.has(`${definition}.${name}`)) field.pointer = true;
      if (facts.zero !== undefined) field.zero = zeroOf(facts.zero);
      if (facts.path && facts.path !== "TypeMeta.") field.goPath = facts.path;
      if (facts.type !== usualGoType(field)) field.goType = facts.type;
    }
  }
}
