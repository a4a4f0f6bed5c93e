/** Reading objects of which nothing is promised. */
export type Fields = Readonly<Record<string, unknown>>;
const NOTHING: Fields = {};
export const record = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : NOTHING;
export const records = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.map(record) : []);
export const text = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : "";
