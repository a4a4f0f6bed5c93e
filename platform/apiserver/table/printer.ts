/** What a kind says about its table: columns, and an object's cells in the same order. */
import type { KubeObject } from "#sdk/api/object.ts";

export type Cell = string | number | boolean | null;

export interface Column {
  name: string;
  type: string;
  format: string;
  description?: string;
  /** 0: always shown; 1: with `-o wide`. */
  priority: number;
}

export interface RowCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
}

/** `now` in milliseconds since 1970. */
export interface Printer {
  columns: Column[];
  cells(object: KubeObject, now: number): Cell[];
  conditions?(object: KubeObject): RowCondition[] | undefined;
}

const column = (name: string, type: Column["type"] = "string", priority: Column["priority"] = 0): Column => ({
  name,
  type,
  format: "",
  priority,
});

export const NAME: Column = { ...column("Name"), format: "name" };
export const AGE: Column = column("Age");
export const text = (...names: string[]): Column[] => names.map((name) => column(name));
export const integer = (...names: string[]): Column[] => names.map((name) => column(name, "integer"));
export const boolean = (...names: string[]): Column[] => names.map((name) => column(name, "boolean"));
export const date = (name: string): Column => column(name, "date");
export const wide = (...names: string[]): Column[] => names.map((name) => column(name, "string", 1));

/** A printer for a generated kind; the list of printers is by resource, so the object is of that kind. */
export function printer<T extends KubeObject>(kind: {
  columns: Column[];
  cells(object: T, now: number): Cell[];
  conditions?(object: T): RowCondition[] | undefined;
}): Printer {
  return kind as unknown as Printer;
}

export const nameOf = (object: KubeObject): string => object.metadata.name ?? "";
