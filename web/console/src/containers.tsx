import { Age } from "./age.tsx";
import { type Fields, record, records, text } from "./read.ts";
import { State } from "./state.tsx";
import type { ApiObject, Tone } from "./wire.ts";

export interface ContainerState {
  name: string;
  image: string;
  init: boolean;
  text: string;
  message: string;
  since: string;
  tone: Tone;
  restarts: string;
  started: boolean;
  ranBefore: boolean;
  /** Changes with every new run of the container. */
  run: string;
}

function describe(status: Fields): Pick<ContainerState, "text" | "message" | "since" | "tone"> {
  const state = record(status["state"]);
  const [waiting, running, ended] = [record(state["waiting"]), record(state["running"]), record(state["terminated"])];
  if (state["running"] !== undefined) {
    const ready = status["ready"] === true;
    return {
      text: ready ? "Running" : "Running, not ready",
      message: "",
      since: text(running["startedAt"]),
      tone: ready ? "ok" : "wait",
    };
  }
  if (state["terminated"] !== undefined) {
    const failed = ended["exitCode"] !== 0;
    const why = text(ended["reason"]) || "Ended";
    return {
      text: `${why}, exit code ${text(ended["exitCode"])}`,
      message: text(ended["message"]),
      since: text(ended["finishedAt"]),
      tone: failed ? "bad" : "off",
    };
  }
  const reason = text(waiting["reason"]) || "Waiting";
  const harmless = /^(Waiting|ContainerCreating|PodInitializing)$/.test(reason);
  return { text: reason, message: text(waiting["message"]), since: "", tone: harmless ? "wait" : "bad" };
}

export function containersOf(pod: ApiObject): ContainerState[] {
  const spec = record(pod["spec"]);
  const status = record(pod["status"]);
  const of = (field: string, statusField: string, init: boolean) => {
    const statuses = new Map(records(status[statusField]).map((each) => [text(each["name"]), each]));
    return records(spec[field]).map((container): ContainerState => {
      const own = statuses.get(text(container["name"])) ?? {};
      const state = record(own["state"]);
      return {
        name: text(container["name"]),
        image: text(container["image"]),
        init,
        ...describe(own),
        restarts: text(own["restartCount"]) || "0",
        started: state["running"] !== undefined || state["terminated"] !== undefined || text(own["containerID"]) !== "",
        ranBefore: record(own["lastState"])["terminated"] !== undefined,
        run: `${text(own["containerID"])} ${text(own["restartCount"])}`,
      };
    });
  };
  return [...of("initContainers", "initContainerStatuses", true), ...of("containers", "containerStatuses", false)];
}

export function Containers({ pod }: { pod: ApiObject }) {
  return (
    <section aria-labelledby="containers">
      <h2 id="containers">Containers</h2>
      <div className="table inline">
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">State</th>
              <th scope="col">Since</th>
              <th scope="col" className="number">
                Restarts
              </th>
              <th scope="col">Image</th>
              <th scope="col">Message</th>
            </tr>
          </thead>
          <tbody>
            {containersOf(pod).map((container) => (
              <tr key={container.name}>
                <th scope="row">
                  {container.name}
                  {container.init ? " (init)" : ""}
                </th>
                <td>
                  <State text={container.text} tone={container.tone} />
                </td>
                <td>
                  <Age time={container.since} />
                </td>
                <td className="number">{container.restarts}</td>
                <td>{container.image}</td>
                <td className="wrap">{container.message}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
