import { useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { api, type Failure, failureOf } from "./api.ts";
import { type ContainerState, containersOf } from "./containers.tsx";
import { Problem } from "./problem.tsx";
import type { ApiObject, LogLine } from "./wire.ts";

/** Older lines are dropped from the page, not from the log. */
const LINES_MAX = 5000;

interface LogState {
  lines: readonly LogLine[];
  ended: boolean;
  failure: Failure | undefined;
}
const EMPTY: LogState = { lines: [], ended: false, failure: undefined };

interface Target {
  tenant: string;
  namespace: string;
  pod: string;
  container: string;
  previous: boolean;
}

/** Lines as they come; `run` begins anew when the container does. */
function useLog(target: Target, run: string, enabled: boolean): LogState {
  const [state, setState] = useState<LogState>(EMPTY);
  const key = JSON.stringify([target, run, enabled]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the target
  useEffect(() => {
    setState(EMPTY);
    if (!enabled) return;
    const subscription = api.logs.follow.subscribe(target, {
      onData: ({ data }) =>
        setState((before) =>
          data.type === "ended"
            ? { ...before, ended: true }
            : { ...before, lines: [...before.lines, ...data.lines].slice(-LINES_MAX) },
        ),
      onError: (error) => setState((before) => ({ ...before, failure: failureOf(error) })),
    });
    return () => subscription.unsubscribe();
  }, [key]);
  return state;
}

export function Logs({ pod, tenant }: { pod: ApiObject; tenant: string }) {
  const containers = containersOf(pod);
  const [chosen, setChosen] = useState<string>();
  const [previous, setPrevious] = useState(false);
  const id = useId();
  const container =
    containers.find(({ name }) => name === chosen) ?? containers.find(({ init }) => !init) ?? containers[0];
  if (!container) return null;
  return (
    <section aria-labelledby="logs">
      <div className="title">
        <h2 id="logs">Logs</h2>
        <label htmlFor={id}>Container</label>
        <select id={id} value={container.name} onChange={(event) => setChosen(event.target.value)}>
          {containers.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <label className="choice">
          <input
            type="checkbox"
            checked={previous}
            disabled={!container.ranBefore && !previous}
            onChange={(event) => setPrevious(event.target.checked)}
          />
          last run
        </label>
      </div>
      <Log pod={pod} tenant={tenant} container={container} previous={previous} />
    </section>
  );
}

function Log({
  pod,
  tenant,
  container,
  previous,
}: {
  pod: ApiObject;
  tenant: string;
  container: ContainerState;
  previous: boolean;
}) {
  const { name = "", namespace = "" } = pod.metadata;
  const enabled = container.started || previous;
  const target = { tenant, namespace, pod: name, container: container.name, previous };
  const { lines, ended, failure } = useLog(target, previous ? "" : container.run, enabled);
  const box = useRef<HTMLPreElement>(null);
  const [following, setFollowing] = useState(true);
  // biome-ignore lint/correctness/useExhaustiveDependencies: scrolls when lines have come
  useLayoutEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, following]);
  const onScroll = () => {
    const element = box.current;
    if (element) setFollowing(element.scrollHeight - element.scrollTop - element.clientHeight < 24);
  };
  if (failure) return <Problem failure={failure} what={`the log of ${container.name}`} />;
  if (!enabled) return <p className="nothing">The container has not started: {container.text}.</p>;
  return (
    <>
      <pre
        className="log"
        ref={box}
        onScroll={onScroll}
        role="log"
        aria-live="off"
        aria-label={`Log of ${container.name}`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
        tabIndex={0}
      >
        {lines.map((line, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines have no identity but their place
          <span key={i} title={line.time}>{`${line.text}\n`}</span>
        ))}
      </pre>
      <p className="help" role="status">
        {ended ? "The container has ended." : following ? "Following." : "Paused: scroll to the end to follow."}
      </p>
    </>
  );
}
