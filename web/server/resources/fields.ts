/** Reading objects of which nothing is promised: a missing or misshapen field reads as empty. */
export type Fields = Readonly<Record<string, unknown>>;

const NOTHING: Fields = {};

export const record = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : NOTHING;
export const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
export const text = (value: unknown): string => (typeof value === "string" ? value : "");
export const number = (value: unknown, otherwise = 0): number => (typeof value === "number" ? value : otherwise);
export const count = (value: unknown): number => Object.keys(record(value)).length;
