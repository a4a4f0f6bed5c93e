/**
 * Writes generated/recorded.json from recorded exchanges of the original API server, by hand:
 * `node platform/apiserver/table/recorded.ts RECORDINGS_JSONL_GZ`. For each kind: an object and the row it had.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { Cell, Column } from "./printer.ts";

export interface RecordedRow {
  group: string;
  resource: string;
  object: DynamicObject;
  columns: [name: string, type: string, format: string, priority: number][];
  cells: Cell[];
}

interface Exchange {
  id: string;
  path: string;
  status: number;
  reply: unknown;
}

/** The recordings stand for times; every object was made the moment it was shown. */
export const RECORDED_AT = "2020-01-01T00:00:00Z";

function main(file: string): void {
  const exchanges = gunzipSync(readFileSync(file))
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line.replaceAll('"<time>"', `"${RECORDED_AT}"`)) as Exchange);
  const objects = new Map<string, DynamicObject>();
  const rows: RecordedRow[] = [];
  for (const { id, path, status, reply } of exchanges) {
    if (status !== 200) continue;
    const kind = id.split(" ", 1)[0] ?? "";
    if (id.endsWith(" get")) objects.set(kind, reply as DynamicObject);
    const object = objects.get(kind);
    if (!id.endsWith(" list table") || !object) continue;
    const table = reply as { columnDefinitions: Column[]; rows: { cells: Cell[] }[] };
    const parts = path.split("?", 1)[0]?.split("/") ?? [];
    const { managedFields: _managedFields, ...metadata } = object.metadata;
    rows.push({
      group: parts[1] === "api" ? "" : (parts[2] ?? ""),
      resource: parts.at(-1) ?? "",
      object: { ...object, metadata },
      columns: table.columnDefinitions.map((c) => [c.name, c.type, c.format, c.priority]),
      cells: table.rows[0]?.cells ?? [],
    });
  }
  const text = `[\n${rows.map((row) => JSON.stringify(row)).join(",\n")}\n]\n`;
  writeFileSync(new URL("./generated/recorded.json", import.meta.url), text);
}

if (import.meta.main && process.argv[2] !== undefined) main(process.argv[2]);
