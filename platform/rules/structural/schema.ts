/** Structural schemas (JSONSchemaProps of apiextensions.k8s.io/v1): their form, and what they make of values. */
import type { Json } from "#sdk/api/object.ts";

export interface ValidationRule {
  rule: string;
  message?: string;
  messageExpression?: string;
  reason?: string;
  fieldPath?: string;
  optionalOldSelf?: boolean;
}

export interface StructuralSchema {
  type?: string;
  format?: string;
  description?: string;
  default?: Json;
  nullable?: boolean;
  enum?: Json[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minProperties?: number;
  maxProperties?: number;
  required?: string[];
  properties?: Record<string, StructuralSchema>;
  additionalProperties?: StructuralSchema | boolean;
  items?: StructuralSchema;
  allOf?: StructuralSchema[];
  anyOf?: StructuralSchema[];
  oneOf?: StructuralSchema[];
  not?: StructuralSchema;
  "x-kubernetes-preserve-unknown-fields"?: boolean;
  "x-kubernetes-embedded-resource"?: boolean;
  "x-kubernetes-int-or-string"?: boolean;
  "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  "x-kubernetes-list-map-keys"?: string[];
  "x-kubernetes-map-type"?: "atomic" | "granular";
  "x-kubernetes-validations"?: ValidationRule[];
}

export type JsonMap = Record<string, Json | undefined>;

export const isMap = (value: unknown): value is JsonMap =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The schema of a map's free keys; undefined where there are none. */
export const valuesOf = (schema: StructuralSchema): StructuralSchema | undefined =>
  typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined;

/** The schema of the field, declared or free. */
export const memberOf = (schema: StructuralSchema, name: string): StructuralSchema | undefined =>
  (schema.properties && Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined) ??
  valuesOf(schema);
