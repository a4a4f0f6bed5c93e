import type { ReactNode } from "react";
import { Age } from "./age.tsx";
import { Conditions } from "./conditions.tsx";
import { Containers } from "./containers.tsx";
import { Events } from "./events.tsx";
import { useSelection } from "./list-page.tsx";
import { Logs } from "./logs.tsx";
import { Manifest } from "./manifest.tsx";
import { Panel } from "./panel.tsx";
import { type Place, placeOf, resourceOf } from "./places.ts";
import { Problem } from "./problem.tsx";
import { Progress } from "./progress.tsx";
import { type Fields, record, records, text } from "./read.ts";
import { Link, type Route } from "./route.tsx";
import { Table } from "./table.tsx";
import { useObject, useRows } from "./use-live.ts";
import type { ApiObject } from "./wire.ts";

export interface ObjectPageProps {
  place: Place;
  route: Route;
  object: { namespace: string; name: string };
}

export function ObjectPage({ place, route, object: { namespace, name } }: ObjectPageProps) {
  const scope = { tenant: route.tenant, resource: resourceOf(place), namespace: namespace || undefined, name };
  const live = useObject(scope);
  const { object, store, failure } = live;
  const back = { ...route, object: undefined };
  return (
    <article className="object">
      <nav aria-label="Path" className="path">
        <Link to={back}>{place.title}</Link>
        {namespace ? <span> / {namespace}</span> : null}
      </nav>
      <div className="title">
        <h1>{name}</h1>
        <span className="kind">{place.kind}</span>
      </div>
      {store.waiting ? (
        <p className="banner" role="status">
          The API server does not answer; trying again. {store.waiting}
        </p>
      ) : null}
      {failure ? <Problem failure={failure} what={place.kind} retry={live.retry} /> : null}
      {object ? (
        <>
          {live.gone ? (
            <p className="banner" role="status">
              This {place.kind} has been deleted. Below is what was last known of it.
            </p>
          ) : null}
          <Facts object={object} place={place} route={route} />
          <Parts object={object} place={place} route={route} />
        </>
      ) : store.phase === "live" && !failure ? (
        <Problem
          failure={{ code: 404, reason: "NotFound", message: `${place.resource} "${name}" not found` }}
          what={place.kind}
        />
      ) : failure ? null : (
        <Progress text={`Loading ${name}`} />
      )}
    </article>
  );
}

function Parts({ object, place, route }: { object: ApiObject; place: Place; route: Route }) {
  const isPod = place.id === "pods";
  return (
    <>
      {isPod ? <Containers pod={object} /> : null}
      <Conditions object={object} />
      <OwnedPods object={object} route={route} />
      {hasPanel(object, place) ? <Panel plugin={object.metadata.name ?? ""} route={route} /> : null}
      {isPod ? <Logs pod={object} tenant={route.tenant} /> : null}
      <Events object={object} kind={place.kind} tenant={route.tenant} />
      <Manifest object={object} />
    </>
  );
}

function hasPanel(object: ApiObject, place: Place): boolean {
  const { worlds, enabled } = record(object["spec"]);
  return place.id === "plugins" && enabled !== false && Array.isArray(worlds) && worlds.includes("panel");
}

function Facts({ object, place, route }: { object: ApiObject; place: Place; route: Route }) {
  const { metadata } = object;
  const spec = record(object["spec"]);
  const status = record(object["status"]);
  const owner = metadata.ownerReferences?.[0];
  const ownerPlace = owner && placeOf(`${owner.kind.toLowerCase()}s`);
  const facts: [string, ReactNode][] = [
    ["Status", metadata.deletionTimestamp ? "Terminating" : text(status["phase"])],
    ["Why", text(status["reason"]) || text(status["message"])],
    [
      "Ready",
      spec["replicas"] === undefined ? "" : `${text(status["readyReplicas"]) || "0"} of ${text(spec["replicas"])}`,
    ],
    ["Images", imagesOf(record(record(spec["template"])["spec"]))],
    ["Age", <Age key="age" time={metadata.creationTimestamp ?? ""} />],
    [
      "Owner",
      owner && ownerPlace ? (
        <Link
          key="owner"
          to={{ ...route, place: ownerPlace.id, object: { namespace: metadata.namespace ?? "", name: owner.name } }}
        >
          {owner.kind} {owner.name}
        </Link>
      ) : null,
    ],
    [
      "Node",
      text(spec["nodeName"]) ? (
        <Link key="node" to={{ ...route, place: "nodes", object: { namespace: "", name: text(spec["nodeName"]) } }}>
          {text(spec["nodeName"])}
        </Link>
      ) : null,
    ],
    ["Address", text(status["podIP"]) || text(spec["clusterIP"])],
    ["Service account", place.id === "pods" ? text(spec["serviceAccountName"]) : ""],
    ["Labels", Object.entries(metadata.labels ?? {}).map(([key, value]) => <code key={key}>{`${key}=${value}`}</code>)],
  ];
  return (
    <dl className="facts">
      {facts
        .filter(([, value]) => value && !(Array.isArray(value) && value.length === 0))
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

const imagesOf = (podSpec: Fields): string =>
  [...new Set(records(podSpec["containers"]).map((container) => text(container["image"])))].join(", ");

/** The pods that a workload or service selects. */
function OwnedPods({ object, route }: { object: ApiObject; route: Route }) {
  const selector = record(record(object["spec"])["selector"]);
  const labels = selector["matchLabels"] === undefined ? selector : record(selector["matchLabels"]);
  const wanted = Object.entries(labels).filter(([, value]) => typeof value === "string");
  const pods = placeOf("pods") as Place;
  const scope = {
    tenant: route.tenant,
    resource: resourceOf(pods),
    namespace: object.metadata.namespace,
    labelSelector: wanted.map(([key, value]) => `${key}=${String(value)}`).join(","),
  };
  const live = useRows(wanted.length > 0 ? scope : undefined);
  const rows = useSelection(live, "", "pods");
  if (wanted.length === 0) return null;
  return (
    <section aria-labelledby="pods">
      <h2 id="pods">Pods</h2>
      {live.failure ? (
        <Problem failure={live.failure} what="its pods" retry={live.retry} />
      ) : rows.length === 0 && live.store.phase === "live" ? (
        <p className="nothing">No pods match its selector.</p>
      ) : (
        <Table
          inline
          caption="Pods"
          columns={live.store.columns}
          rows={rows}
          namespaces={false}
          nameOf={(row, index) => (
            <Link to={{ ...route, place: "pods", object: { namespace: row.namespace, name: row.name } }} index={index}>
              {row.name}
            </Link>
          )}
        />
      )}
    </section>
  );
}
