/** A pod's one-word state, as kubectl prints it (upstream: printers/internalversion, printPod). */
import type { DynamicObject } from "#sdk/api/object.ts";
import { type Fields, list, number, record, text } from "./fields.ts";
import type { Tone, View } from "./views.ts";

const stateOf = (container: Fields): Fields => record(container["state"]);

function initState(status: Fields, total: number): string | undefined {
  for (const [i, container] of list(status["initContainerStatuses"]).map(record).entries()) {
    const state = stateOf(container);
    const terminated = record(state["terminated"]);
    if (state["terminated"] !== undefined && number(terminated["exitCode"]) === 0) continue;
    if (state["terminated"] !== undefined) {
      return `Init:${text(terminated["reason"]) || `ExitCode:${number(terminated["exitCode"])}`}`;
    }
    const waiting = text(record(state["waiting"])["reason"]);
    if (waiting !== "" && waiting !== "PodInitializing") return `Init:${waiting}`;
    return `Init:${i}/${total}`;
  }
  return undefined;
}

function containerState(status: Fields): string | undefined {
  let found: string | undefined;
  let running = false;
  for (const container of list(status["containerStatuses"]).map(record).toReversed()) {
    const state = stateOf(container);
    const terminated = record(state["terminated"]);
    const waiting = text(record(state["waiting"])["reason"]);
    if (waiting !== "") found = waiting;
    else if (state["terminated"] !== undefined) {
      found = text(terminated["reason"]) || `ExitCode:${number(terminated["exitCode"])}`;
    } else if (container["ready"] === true && state["running"] !== undefined) running = true;
  }
  return found === "Completed" && running ? "Running" : found;
}

export function podState(object: DynamicObject): string {
  const status = record(object["status"]);
  const inits = list(record(object["spec"])["initContainers"]).length;
  const phase = text(status["reason"]) || text(status["phase"]) || "Pending";
  const state = initState(status, inits) ?? containerState(status) ?? phase;
  if (object.metadata.deletionTimestamp === undefined) return state;
  return text(status["reason"]) === "NodeLost" ? "Unknown" : "Terminating";
}

const GOING = new Set(["Pending", "ContainerCreating", "PodInitializing", "Terminating"]);

function toneOf(state: string, ready: number, total: number): Tone {
  if (state === "Completed" || state === "Succeeded" || state === "Terminating") return "off";
  if (state === "Running") return ready >= total ? "ok" : "wait";
  return GOING.has(state) || /^Init:\d/.test(state) ? "wait" : "bad";
}

export const podRow: View = {
  columns: [
    { title: "Status", kind: "state" },
    { title: "Ready", kind: "text" },
    { title: "Restarts", kind: "number" },
    { title: "Address", kind: "text" },
    { title: "Node", kind: "text" },
  ],
  row(object) {
    const spec = record(object["spec"]);
    const status = record(object["status"]);
    const containers = list(status["containerStatuses"]).map(record);
    const total = list(spec["containers"]).length;
    const ready = containers.filter((c) => c["ready"] === true).length;
    const restarts = containers.reduce((sum, c) => sum + number(c["restartCount"]), 0);
    const state = podState(object);
    return {
      cells: [state, `${ready}/${total}`, restarts, text(status["podIP"]), text(spec["nodeName"])],
      tone: toneOf(state, ready, total),
    };
  },
};
