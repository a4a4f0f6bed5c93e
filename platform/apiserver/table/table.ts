/** The server-side tables that `kubectl get` shows: meta.k8s.io/v1 Table. */
import type { DynamicObject, GroupVersionResource, KubeObject, ListMeta, ObjectMeta } from "#sdk/api/object.ts";
import { describeColumn } from "./describe.ts";
import { tablePrinters } from "./index.ts";
import { type Cell, type Column, date, NAME, nameOf, type Printer, type RowCondition } from "./printer.ts";

export type IncludeObject = "None" | "Metadata" | "Object";

export interface PartialObjectMetadata extends KubeObject {
  kind: "PartialObjectMetadata";
  apiVersion: "meta.k8s.io/v1";
}

export interface TableRow {
  cells: Cell[];
  conditions?: RowCondition[];
  object: KubeObject | null;
}

export interface Table {
  kind: "Table";
  apiVersion: "meta.k8s.io/v1";
  metadata: ListMeta;
  columnDefinitions: (Column & { description: string })[] | null;
  rows: TableRow[];
}

/** Kinds that upstream has no printer for. */
const FALLBACK: Printer = {
  columns: [NAME, date("Created At")],
  cells: (object) => [nameOf(object), object.metadata.creationTimestamp ?? ""],
};

export const partialObjectMetadata = (metadata: ObjectMeta): PartialObjectMetadata => ({
  kind: "PartialObjectMetadata",
  apiVersion: "meta.k8s.io/v1",
  metadata,
});

export interface TableRequest {
  resource: GroupVersionResource;
  objects: readonly DynamicObject[];
  /** Of the list; of a single object its resourceVersion. */
  metadata: ListMeta;
  /** The query's `includeObject`; Metadata where it is not given. */
  includeObject?: IncludeObject;
  /** A watch's events after the first carry no columns. */
  noHeaders?: boolean;
  /** Of a resource that is not in the list of printers. */
  printer?: Printer;
  now: Date;
}

export function renderTable(request: TableRequest): Table {
  const { group, resource } = request.resource;
  const name = group === "" ? resource : `${resource}.${group}`;
  const printer = request.printer ?? tablePrinters.get(name) ?? FALLBACK;
  const include = request.includeObject ?? "Metadata";
  const now = request.now.getTime();
  const row = (object: DynamicObject): TableRow => {
    const conditions = printer.conditions?.(object);
    const embedded = include === "Object" ? object : include === "None" ? null : partialObjectMetadata(object.metadata);
    return { cells: printer.cells(object, now), ...(conditions ? { conditions } : {}), object: embedded };
  };
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata: request.metadata,
    columnDefinitions: request.noHeaders
      ? null
      : printer.columns.map((column) => ({ description: describeColumn(name, column.name), ...column })),
    rows: request.objects.map(row),
  };
}
