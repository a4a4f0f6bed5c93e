/** A plugin's page as the API server answers it (it has checked it): data that the console draws. */
export type Link = { resource: ObjectName } | { path: string };
export interface ObjectName {
  group: string;
  version: string;
  resource: string;
  namespace: string;
  name: string;
}
export interface ActionField {
  name: string;
  label: string;
  kind: "text" | "number" | "choice" | "check";
  choices?: string[];
  value?: string | number | boolean;
  required?: boolean;
}
export interface Action {
  id: string;
  label: string;
  tone?: Tone;
  confirm?: string;
  fields?: ActionField[];
}
export type Tone = "info" | "good" | "warning" | "bad";

export type Child =
  | { heading: string }
  | { text: string }
  | { code: string; language?: string }
  | { notice: string; tone: Tone }
  | { facts: { label: string; value: string; link?: Link }[] }
  | { meter: { label: string; value: number; max: number; unit?: string } }
  | { series: { label: string; unit?: string; lines: { label: string; points: [number, number][] }[] } }
  | { table: { columns: string[]; rows: { cells: string[]; link?: Link; actions?: Action[] }[] } }
  | { object: ObjectName }
  | { columns: Child[][] }
  | { section: string; children: Child[] }
  | { actions: Action[] };

export interface Page {
  title: string;
  children: Child[];
  refreshSeconds?: number;
}
