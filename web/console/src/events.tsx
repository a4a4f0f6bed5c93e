import { useMemo } from "react";
import { newestFirst } from "./list-page.tsx";
import { Problem } from "./problem.tsx";
import { Table } from "./table.tsx";
import { useRows } from "./use-live.ts";
import type { ApiObject, Row } from "./wire.ts";

const EVENTS = { group: "", version: "v1", resource: "events" };

/** What happened to one object, newest first. Events of what has no namespace are in "default". */
export function Events({ object, kind, tenant }: { object: ApiObject; kind: string; tenant: string }) {
  const { name = "", namespace = "default" } = object.metadata;
  const live = useRows({
    tenant,
    resource: EVENTS,
    namespace,
    fieldSelector: `involvedObject.kind=${kind},involvedObject.name=${name}`,
  });
  const { store, version } = live;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version stands for the store's content
  const rows = useMemo(() => newestFirst(store.keys.map((key) => store.items.get(key) as Row)), [store, version]);
  return (
    <section aria-labelledby="events">
      <h2 id="events">Events</h2>
      {live.failure ? (
        <Problem failure={live.failure} what="its events" retry={live.retry} />
      ) : rows.length === 0 ? (
        <p className="nothing">{store.phase === "live" ? "No events in the last hour." : ""}</p>
      ) : (
        <Table
          inline
          bare
          caption="Events"
          columns={store.columns}
          rows={rows}
          namespaces={false}
          nameOf={() => null}
        />
      )}
    </section>
  );
}
