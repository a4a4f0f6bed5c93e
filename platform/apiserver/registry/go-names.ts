/**
 * Values as upstream prints them where it does so from its internal types, which have no JSON names: Go's field names in Go's order, absent ones
 * too. A reader of the message sees what the original would say.
 */
export interface GoField {
  /** Go's name. */
  go: string;
  json: string;
  /** What an absent field is printed as; null unless it says otherwise. */
  zero?: string | number | boolean;
  /** Fields of what is below: a struct, or each item of a list. */
  of?: readonly GoField[];
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

export function goValue(value: unknown, fields: readonly GoField[]): unknown {
  if (Array.isArray(value)) return value.map((item) => goValue(item, fields));
  if (!isRecord(value)) return value ?? null;
  return Object.fromEntries(
    fields.map(({ go, json, zero = null, of }) => {
      const own = value[json];
      return [go, own === undefined || own === null ? zero : of ? goValue(own, of) : own];
    }),
  );
}
