/** A plugin's own page: drawn from the data that it answers. Nothing of it is markup, and links lead into the console only. */
import { type FormEvent, type ReactNode, useCallback, useEffect, useId, useRef, useState } from "react";
import type { Action, ActionField, Child, ObjectName, Page, Link as PageLink } from "../../server/panels/page.ts";
import { api, type Failure, failureOf } from "./api.ts";
import { placeOf } from "./places.ts";
import { Problem } from "./problem.tsx";
import { Progress } from "./progress.tsx";
import { Link, type Route } from "./route.tsx";

interface PanelProps {
  plugin: string;
  route: Route;
}

interface Ways {
  route: Route;
  /** To another page of the same panel. */
  go(path: string): void;
  act(action: Action, fields: Record<string, string | number | boolean>): Promise<void>;
}

const MS = 1000;
/** Of a line's course, in pixels. */
const COURSE_WIDTH = 120;
const COURSE_HEIGHT = 24;

export function Panel({ plugin, route }: PanelProps) {
  const [path, setPath] = useState("");
  const [page, setPage] = useState<Page>();
  const [failure, setFailure] = useState<Failure>();
  const [message, setMessage] = useState("");
  /** What an action met: it stays where the page that is loaded after it shows well. */
  const [refusal, setRefusal] = useState<Failure>();
  const { tenant, namespace } = route;
  /** An answer that a later question overtook is not shown. */
  const asked = useRef(0);

  const load = useCallback(async () => {
    const mine = ++asked.current;
    try {
      const next = await api.panels.page.query({ tenant, plugin, namespace, path });
      if (mine !== asked.current) return;
      setPage(next);
      setFailure(undefined);
    } catch (error) {
      if (mine === asked.current) setFailure(failureOf(error));
    }
  }, [tenant, plugin, namespace, path]);
  useEffect(() => void load(), [load]);
  const seconds = page?.refreshSeconds;
  useEffect(() => {
    if (seconds === undefined) return;
    const timer = setInterval(() => void load(), seconds * MS);
    return () => clearInterval(timer);
  }, [seconds, load]);

  const act: Ways["act"] = async (action, fields) => {
    if (action.confirm !== undefined && !confirm(action.confirm)) return;
    setMessage("");
    setRefusal(undefined);
    try {
      setMessage((await api.panels.act.mutate({ tenant, plugin, namespace, path, action: action.id, fields })).message);
    } catch (error) {
      setRefusal(failureOf(error));
    }
    await load();
  };
  return (
    <section aria-labelledby="panel" className="panel">
      <h2 id="panel">{page?.title ?? "Panel"}</h2>
      {path === "" ? null : (
        <button type="button" onClick={() => setPath("")}>
          Back to its first page
        </button>
      )}
      {message ? (
        <p className="banner" role="status">
          {message}
        </p>
      ) : null}
      {refusal ? (
        <p className="banner" role="alert" data-tone="bad">
          {refusal.message}
        </p>
      ) : null}
      {failure ? <Problem failure={failure} what="its panel" retry={() => void load()} /> : null}
      {page ? <Children of={page.children} ways={{ route, go: setPath, act }} /> : null}
      {page || failure ? null : <Progress text="Loading its panel" />}
    </section>
  );
}

const Children = ({ of, ways }: { of: Child[]; ways: Ways }) => (
  <>
    {of.map((child, index) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: a page's children have no other identity
      <Part key={index} child={child} ways={ways} />
    ))}
  </>
);

function Part({ child, ways }: { child: Child; ways: Ways }): ReactNode {
  if ("heading" in child) return <h3>{child.heading}</h3>;
  if ("text" in child) return <p>{child.text}</p>;
  if ("code" in child) return <pre>{child.code}</pre>;
  if ("notice" in child)
    return (
      <p className="banner" role="status" data-tone={child.tone}>
        {child.notice}
      </p>
    );
  if ("facts" in child)
    return (
      <dl className="facts">
        {child.facts.map(({ label, value, link }) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{link ? <Way to={link} text={value} ways={ways} /> : value}</dd>
          </div>
        ))}
      </dl>
    );
  if ("meter" in child) {
    const { label, value, max, unit = "" } = child.meter;
    return (
      <p>
        {label} <meter value={value} max={max} aria-label={label} /> {`${value} of ${max} ${unit}`.trim()}
      </p>
    );
  }
  if ("series" in child) return <Series of={child.series} />;
  if ("table" in child) return <Rows of={child.table} ways={ways} />;
  if ("object" in child)
    return (
      <p>
        <Way to={{ resource: child.object }} text={nameText(child.object)} ways={ways} />
      </p>
    );
  if ("columns" in child)
    return (
      <div className="panel-columns">
        {child.columns.map((column, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a page's columns have no other identity
          <div key={index}>
            <Children of={column} ways={ways} />
          </div>
        ))}
      </div>
    );
  if ("section" in child)
    return (
      <section>
        <h3>{child.section}</h3>
        <Children of={child.children} ways={ways} />
      </section>
    );
  return <Actions of={child.actions} ways={ways} />;
}

const nameText = ({ resource, namespace, name }: ObjectName): string =>
  `${resource} ${namespace === "" ? name : `${namespace}/${name}`}`;

/** An object that the console has no page for is named, and leads nowhere. */
function Way({ to, text, ways }: { to: PageLink; text: string; ways: Ways }) {
  if ("path" in to)
    return (
      <button type="button" className="link" onClick={() => ways.go(to.path)}>
        {text}
      </button>
    );
  const place = placeOf(to.resource.resource);
  if (!place || place.group !== to.resource.group) return text;
  const { namespace, name } = to.resource;
  return <Link to={{ ...ways.route, place: place.id, object: { namespace, name } }}>{text}</Link>;
}

function Rows({ of: { columns, rows }, ways }: { of: Extract<Child, { table: object }>["table"]; ways: Ways }) {
  const acting = rows.some(({ actions }) => actions?.length);
  return (
    <div className="table inline">
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
            {acting ? <th scope="col">Actions</th> : null}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ cells, link, actions = [] }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a page's rows have no other identity
            <tr key={index}>
              {cells.map((cell, column) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: as its column
                <td key={column}>{column === 0 && link ? <Way to={link} text={cell} ways={ways} /> : cell}</td>
              ))}
              {acting ? (
                <td>
                  <Actions of={actions} ways={ways} />
                </td>
              ) : null}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Each line by its newest value and its course, all on the same scale, which begins at nothing. */
function Series({ of: { label, unit = "", lines } }: { of: Extract<Child, { series: object }>["series"] }) {
  const all = lines.flatMap(({ points }) => points);
  const times = all.map(([at]) => at);
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const top = Math.max(0, ...all.map(([, value]) => value));
  const share = (value: number, whole: number) => (whole > 0 ? value / whole : 0);
  const place = ([at, value]: [number, number]) =>
    `${COURSE_WIDTH * share(at - from, to - from)},${COURSE_HEIGHT * (1 - share(Math.max(0, value), top))}`;
  return (
    <figure>
      <figcaption>{label}</figcaption>
      <dl className="facts">
        {lines.map(({ label: line, points }) => {
          const last = points.at(-1);
          return (
            <div key={line}>
              <dt>{line}</dt>
              <dd>
                {last ? `${last[1]} ${unit}`.trim() : "none"}
                <svg
                  role="img"
                  aria-label={`${line}: its last ${points.length} values`}
                  viewBox={`0 -1 ${COURSE_WIDTH} ${COURSE_HEIGHT + 2}`}
                  width={COURSE_WIDTH}
                  height={COURSE_HEIGHT}
                >
                  <polyline points={points.map(place).join(" ")} />
                </svg>
              </dd>
            </div>
          );
        })}
      </dl>
    </figure>
  );
}

const Actions = ({ of, ways }: { of: Action[]; ways: Ways }) => (
  <>
    {of.map((action) => (
      <Act key={action.id} action={action} ways={ways} />
    ))}
  </>
);

function Act({ action, ways }: { action: Action; ways: Ways }) {
  const [busy, setBusy] = useState(false);
  const { fields = [] } = action;
  const id = useId();
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    await ways.act(action, Object.fromEntries(fields.map((field) => [field.name, fieldValue(field, form)])));
    setBusy(false);
  };
  return (
    <form className="panel-action" onSubmit={(event) => void submit(event)}>
      {fields.map((field) => (
        <span key={field.name}>
          <label htmlFor={`${id}-${field.name}`}>{field.label}</label>{" "}
          <Field field={field} id={`${id}-${field.name}`} />
        </span>
      ))}
      <button type="submit" disabled={busy} data-tone={action.tone}>
        {action.label}
      </button>
    </form>
  );
}

function fieldValue({ name, kind }: ActionField, form: FormData): string | number | boolean {
  const value = form.get(name);
  if (kind === "check") return value !== null;
  return kind === "number" ? Number(value ?? 0) : String(value ?? "");
}

function Field({ field: { name, kind, choices = [], value, required }, id }: { field: ActionField; id: string }) {
  if (kind === "check") return <input type="checkbox" id={id} name={name} defaultChecked={value === true} />;
  const initial = value === undefined ? "" : String(value);
  if (kind === "choice")
    return (
      <select id={id} name={name} defaultValue={initial} required={required}>
        {choices.map((choice) => (
          <option key={choice}>{choice}</option>
        ))}
      </select>
    );
  return <input type={kind} id={id} name={name} defaultValue={initial} required={required} />;
}
