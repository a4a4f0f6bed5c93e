/**
 * A table of any length: only the rows in view are in the document. It says its full length to screen readers, its columns
 * sort, and arrow keys move between rows.
 */
import { type KeyboardEvent, type ReactNode, type RefObject, useLayoutEffect, useMemo, useRef, useState } from "react";
import { Age } from "./age.tsx";
import { State } from "./state.tsx";
import type { Column, Row } from "./wire.ts";

const ROW_PX = 36;
const OVERSCAN = 12;

export interface TableProps {
  caption: string;
  columns: readonly Column[];
  rows: readonly Row[];
  namespaces: boolean;
  nameOf(row: Row, index: number): ReactNode;
  /** Short tables inside a page grow instead of scrolling. */
  inline?: boolean;
  /** Events have no names worth reading, and show their own times. */
  bare?: boolean;
}

type Sort = { column: number; descending: boolean } | undefined;
const NAME = -1;
const AGE = -2;

function sortValueOf(row: Row, column: number): string | number {
  if (column === NAME) return row.name;
  if (column === AGE) return row.created;
  return row.cells[column] ?? "";
}

function sorted(rows: readonly Row[], sort: Sort): readonly Row[] {
  if (!sort) return rows;
  const { column, descending } = sort;
  const direction = descending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [x, y] = [sortValueOf(a, column), sortValueOf(b, column)];
    return (x < y ? -1 : x > y ? 1 : 0) * direction;
  });
}

/** Which rows to draw: those in view and a few around. */
function useWindow(box: RefObject<HTMLDivElement | null>, count: number, all: boolean): { first: number; end: number } {
  const [view, setView] = useState({ top: 0, height: 800 });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element || all) return;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, [box, all]);
  if (all) return { first: 0, end: count };
  const end = Math.min(count, Math.ceil((view.top + view.height) / ROW_PX) + OVERSCAN);
  return { first: Math.min(end, Math.max(0, Math.floor(view.top / ROW_PX) - OVERSCAN)), end };
}

export function Table(props: TableProps) {
  const { caption, columns, namespaces, inline, bare } = props;
  const [sort, setSort] = useState<Sort>();
  const rows = useMemo(() => sorted(props.rows, sort), [props.rows, sort]);
  const box = useRef<HTMLDivElement>(null);
  const { first, end } = useWindow(box, rows.length, inline === true);
  const width = columns.length + (bare ? 0 : 2) + (namespaces ? 1 : 0);
  const head = (title: string, column: number, numeric = false) => (
    <SortHead key={column} title={title} column={column} sort={sort} onSort={setSort} numeric={numeric} />
  );
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: only moves the focus between the links inside
    <div
      className={inline ? "table inline" : "table"}
      ref={box}
      tabIndex={inline ? undefined : -1}
      onKeyDown={moveBetweenRows}
    >
      <table aria-rowcount={rows.length + 1}>
        <caption className="unseen">{caption}</caption>
        <thead>
          <tr aria-rowindex={1}>
            {bare ? null : head("Name", NAME)}
            {namespaces ? <th scope="col">Namespace</th> : null}
            {columns.map((column, i) => head(column.title, i, column.kind === "number"))}
            {bare ? null : head("Age", AGE, true)}
          </tr>
        </thead>
        <tbody>
          <Spacer rows={first} width={width} />
          {rows.slice(first, end).map((row, i) => (
            <TableRow key={row.key} row={row} index={first + i} table={props} />
          ))}
          <Spacer rows={rows.length - end} width={width} />
        </tbody>
      </table>
    </div>
  );
}

/** Stands for the rows that are not drawn. */
function Spacer({ rows, width }: { rows: number; width: number }) {
  if (rows <= 0) return null;
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row cannot be focused
    <tr aria-hidden="true" style={{ height: rows * ROW_PX }}>
      <td colSpan={width} />
    </tr>
  );
}

function TableRow({ row, index, table }: { row: Row; index: number; table: TableProps }) {
  const { bare, namespaces, columns, nameOf } = table;
  return (
    <tr aria-rowindex={index + 2} className={row.tone === "off" ? "fading" : undefined}>
      {bare ? null : <th scope="row">{nameOf(row, index)}</th>}
      {namespaces ? <td>{row.namespace}</td> : null}
      {columns.map((column, c) => (
        <Cell key={column.title} column={column} row={row} at={c} />
      ))}
      {bare ? null : (
        <td className="number">
          <Age time={row.created} />
        </td>
      )}
    </tr>
  );
}

function Cell({ column, row, at }: { column: Column; row: Row; at: number }) {
  const value = row.cells[at] ?? "";
  if (column.kind === "age") {
    return (
      <td>
        <Age time={String(value)} />
      </td>
    );
  }
  if (column.kind === "state") {
    return (
      <td>
        <State text={String(value)} tone={row.tone} />
      </td>
    );
  }
  return (
    <td
      className={column.kind === "number" ? "number" : undefined}
      title={typeof value === "string" && value.length > 24 ? value : undefined}
    >
      {value}
    </td>
  );
}

interface SortHeadProps {
  title: string;
  column: number;
  sort: Sort;
  numeric: boolean;
  onSort(sort: Sort): void;
}

function SortHead({ title, column, sort, numeric, onSort }: SortHeadProps) {
  const mine = sort?.column === column;
  const next: Sort = mine
    ? sort.descending
      ? undefined
      : { column, descending: true }
    : { column, descending: false };
  return (
    <th
      scope="col"
      className={numeric ? "number" : undefined}
      aria-sort={mine ? (sort.descending ? "descending" : "ascending") : undefined}
    >
      <button type="button" onClick={() => onSort(next)}>
        {title}
        <span aria-hidden="true" className="arrow">
          {mine ? (sort.descending ? "▼" : "▲") : ""}
        </span>
      </button>
    </th>
  );
}

function moveBetweenRows(event: KeyboardEvent<HTMLDivElement>): void {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  const at = Number((event.target as HTMLElement).dataset["index"]);
  if (step === 0 || Number.isNaN(at)) return;
  const next = event.currentTarget.querySelector<HTMLElement>(`[data-index="${at + step}"]`);
  if (!next) return;
  event.preventDefault();
  next.focus();
}
