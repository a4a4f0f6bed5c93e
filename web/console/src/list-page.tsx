import { useDeferredValue, useEffect, useId, useMemo, useRef, useState } from "react";
import { type Place, resourceOf } from "./places.ts";
import { Problem } from "./problem.tsx";
import { Progress } from "./progress.tsx";
import { Link, type Route } from "./route.tsx";
import { Table } from "./table.tsx";
import { type Live, useRows } from "./use-live.ts";
import type { Row } from "./wire.ts";

const matches = (row: Row, words: readonly string[]): boolean => {
  const text = `${row.namespace}/${row.name} ${row.cells.join(" ")}`.toLowerCase();
  return words.every((word) => text.includes(word));
};

/** The rows in order; events newest first. */
export function useSelection(live: Live<Row>, filter: string, place: string): readonly Row[] {
  const { store, version } = live;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version stands for the store's content
  return useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = store.keys.map((key) => store.items.get(key) as Row);
    const found = words.length === 0 ? rows : rows.filter((row) => matches(row, words));
    return place === "events" ? newestFirst(found) : found;
  }, [store, version, filter, place]);
}

export const newestFirst = (rows: readonly Row[]): Row[] =>
  rows.toSorted((a, b) => String(b.cells[0]).localeCompare(String(a.cells[0])));

export function ListPage({ place, route }: { place: Place; route: Route }) {
  const namespace = place.namespaced && route.namespace ? route.namespace : undefined;
  const live = useRows({ tenant: route.tenant, resource: resourceOf(place), namespace });
  const [filter, setFilter] = useState("");
  const rows = useSelection(live, useDeferredValue(filter), place.id);
  const id = useId();
  const { store, failure } = live;
  const what = `${place.title.toLowerCase()}${place.namespaced ? (namespace ? ` in namespace ${namespace}` : " in all namespaces") : ""}`;
  const total = store.items.size;
  return (
    <>
      <div className="title">
        <h1>{place.title}</h1>
        <span className="count">
          {store.phase === "live"
            ? filter
              ? `${rows.length.toLocaleString()} of ${total.toLocaleString()}`
              : total.toLocaleString()
            : ""}
        </span>
        <Announcement
          text={`${rows.length.toLocaleString()} ${what}`}
          when={`${store.phase} ${filter}`}
          ready={store.phase === "live"}
        />
        <label htmlFor={id} className="unseen">
          Filter {what}
        </label>
        <input
          id={id}
          type="search"
          placeholder="Filter"
          value={filter}
          onChange={(event) => setFilter(event.target.value)}
        />
      </div>
      {store.waiting ? (
        <p className="banner" role="status">
          The API server does not answer; trying again. {store.waiting}
        </p>
      ) : null}
      {failure ? (
        <Problem failure={failure} what={what} retry={live.retry} />
      ) : (
        <>
          {store.phase === "live" ? null : (
            <Progress
              text={`Loading ${what}`}
              done={total}
              total={store.remaining === undefined ? undefined : total + store.remaining}
            />
          )}
          {store.phase === "live" && rows.length === 0 ? (
            <Nothing what={what} filtered={filter !== ""} />
          ) : (
            <Table
              caption={place.title}
              columns={store.columns}
              rows={rows}
              namespaces={place.namespaced && !namespace}
              bare={place.id === "events"}
              nameOf={(row, index) => (
                <Link to={{ ...route, object: { namespace: row.namespace, name: row.name } }} index={index}>
                  {row.name}
                </Link>
              )}
            />
          )}
        </>
      )}
    </>
  );
}

/** Told to screen readers when the list is complete or the filter changes, not with every change of a live list. */
function Announcement({ text, when, ready }: { text: string; when: string; ready: boolean }) {
  const latest = useRef(text);
  latest.current = text;
  const [said, setSaid] = useState("");
  // biome-ignore lint/correctness/useExhaustiveDependencies: said again when `when` changes
  useEffect(() => {
    if (!ready) return;
    const timer = setTimeout(() => setSaid(latest.current), 500);
    return () => clearTimeout(timer);
  }, [when, ready]);
  return (
    <span className="unseen" role="status">
      {said}
    </span>
  );
}

function Nothing({ what, filtered }: { what: string; filtered: boolean }) {
  return (
    <p className="nothing" role="status">
      {filtered ? `Nothing in ${what} matches the filter.` : `There are no ${what}.`}
      {filtered || !/^(deployments|pods|services)/.test(what) ? null : (
        <>
          {" "}
          To try it: <code>kubectl apply -f examples/hello/</code>
        </>
      )}
    </p>
  );
}
