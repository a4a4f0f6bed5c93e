/**
 * Field errors as apimachinery's util/validation/field writes them: each becomes one cause of a 422 Status.
 * `value` is printed as Go's %v or quoted, by its type.
 */
import type { StatusCause } from "#sdk/api/status.ts";

export type Causes = StatusCause[];

/** How upstream prints a rejected value. */
export function printed(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  // Go's JSON is fit for HTML.
  return JSON.stringify(value).replace(/[<>&]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
}

export const invalidValue = (field: string, value: unknown, detail: string): StatusCause => ({
  reason: "FieldValueInvalid",
  message: `Invalid value: ${printed(value)}${detail ? `: ${detail}` : ""}`,
  field,
});

/** Where upstream does not show the value. */
export const invalidOmitted = (field: string, detail: string): StatusCause => ({
  reason: "FieldValueInvalid",
  message: `Invalid value: ${detail}`,
  field,
});

export const typeInvalid = (field: string, value: unknown, detail: string): StatusCause => ({
  reason: "FieldValueTypeInvalid",
  message: `Invalid value: ${printed(value)}: ${detail}`,
  field,
});

export const required = (field: string, detail = ""): StatusCause => ({
  reason: "FieldValueRequired",
  message: detail ? `Required value: ${detail}` : "Required value",
  field,
});

export const duplicate = (field: string, value: unknown): StatusCause => ({
  reason: "FieldValueDuplicate",
  message: `Duplicate value: ${printed(value)}`,
  field,
});

export const notSupported = (field: string, value: unknown, supported: readonly string[]): StatusCause =>
  notSupportedInOrder(field, value, [...supported].sort());

/** Where upstream keeps the values in a list and not in a set, it tells them in the list's order. */
export const notSupportedInOrder = (field: string, value: unknown, supported: readonly string[]): StatusCause => ({
  reason: "FieldValueNotSupported",
  message: `Unsupported value: ${printed(value)}${
    supported.length ? `: supported values: ${supported.map(printed).join(", ")}` : ""
  }`,
  field,
});

export const forbiddenField = (field: string, detail: string): StatusCause => ({
  reason: "FieldValueForbidden",
  message: `Forbidden: ${detail}`,
  field,
});

export const notFoundValue = (field: string, value: unknown, detail = ""): StatusCause => ({
  reason: "FieldValueNotFound",
  message: `Not found: ${printed(value)}${detail && `: ${detail}`}`,
  field,
});

export const tooLongValue = (field: string, maxBytes: number): StatusCause => ({
  reason: "FieldValueTooLong",
  message: `Too long: may not be more than ${maxBytes} bytes`,
  field,
});

export const tooMany = (field: string, actual: number, max: number): StatusCause => ({
  reason: "FieldValueTooMany",
  message: `Too many: ${actual}: must have at most ${max} items`,
  field,
});
