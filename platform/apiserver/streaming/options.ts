/** PodLogOptions, PodExecOptions, PodAttachOptions: checked, and as the node agent wants them. */
import { badRequest, invalid, type StatusCause, StatusError } from "#sdk/api/status.ts";
import type { NodeAddress, PodForStreaming, StreamingTarget } from "./port.ts";
import type { CommandStreams } from "./remote-command.ts";

const flag = (query: URLSearchParams, name: string): boolean => ["1", "true"].includes(query.get(name) ?? "");

/** The container that is asked for, or the only one. Wording and codes are registry/core/pod's. */
export function containerOf(pod: PodForStreaming, asked: string | null): string {
  const { name } = pod.metadata;
  const main = pod.spec.containers.map((one) => one.name);
  const init = (pod.spec.initContainers ?? []).map((one) => one.name);
  const ephemeral = (pod.spec.ephemeralContainers ?? []).map((one) => one.name);
  if (asked !== null && asked !== "") {
    if (![...main, ...init, ...ephemeral].includes(asked))
      throw badRequest(`container ${asked} is not valid for pod ${name}`);
    return asked;
  }
  const only = main[0];
  if (main.length === 1 && only !== undefined) return only;
  const others = [
    ...(init.length > 0 ? [` or one of the init containers: [${init.join(" ")}]`] : []),
    ...(ephemeral.length > 0 ? [` or one of the ephemeral containers: [${ephemeral.join(" ")}]`] : []),
  ];
  throw badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${main.join(" ")}]${others.join("")}`,
  );
}

export function nodeOf(target: StreamingTarget): NodeAddress {
  if (target.node !== undefined) return target.node;
  const { name } = target.pod.metadata;
  if (target.pod.spec.nodeName)
    throw new StatusError(503, "ServiceUnavailable", `the node of pod ${name} has no address`);
  throw badRequest(`pod ${name} does not have a host assigned`);
}

export function streamsOf(query: URLSearchParams, isAttach: boolean): CommandStreams {
  const streams = {
    stdin: flag(query, "stdin"),
    stdout: flag(query, "stdout"),
    stderr: flag(query, "stderr"),
    tty: flag(query, "tty"),
  };
  if (!streams.stdin && !streams.stdout && !streams.stderr)
    throw badRequest("you must specify at least 1 of stdin, stdout, stderr");
  if (!isAttach && query.getAll("command").length === 0) throw badRequest("you must specify at least 1 command");
  return streams;
}

/**
 * The ports that a WebSocket client without a tunnel asks for: `ports` of PodPortForwardOptions, once for each. The node is who checks them in
 * upstream, under the name `port`, in its words.
 */
export function portsOf(query: URLSearchParams): number[] {
  const asked = query.getAll("ports");
  if (asked.length === 0) throw badRequest('query parameter "port" is required');
  return asked.map((text) => {
    if (!/^[+-]?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    const port = Number(text);
    if (port < 0 || port > 65535) throw badRequest(`unable to parse "${port}" as a port`);
    if (port < 1) throw badRequest(`port "${port}" must be > 0`);
    return port;
  });
}

const segment = encodeURIComponent;

/** The node agent's path for an upgrade (platform/node/server.ts). */
export function nodePath(area: "exec" | "attach" | "portForward", target: StreamingTarget): string {
  const { namespace = "", name = "", uid = "" } = target.pod.metadata;
  const base = `/${area}/${segment(namespace)}/${segment(name)}/${segment(uid)}`;
  if (area === "portForward") return base;
  const streams = streamsOf(target.query, area === "attach");
  const query = new URLSearchParams();
  if (streams.stdin) query.set("input", "1");
  if (streams.stdout) query.set("output", "1");
  if (streams.stderr && !streams.tty) query.set("error", "1");
  if (streams.tty) query.set("tty", "1");
  if (area === "exec") for (const word of target.query.getAll("command")) query.append("command", word);
  return `${base}/${segment(containerOf(target.pod, target.query.get("container")))}?${query}`;
}

const LOG_FIELDS = [
  "follow",
  "previous",
  "sinceSeconds",
  "sinceTime",
  "timestamps",
  "tailLines",
  "limitBytes",
  "stream",
];

/** Throws StatusError 422 for options that contradict each other (core/validation: ValidatePodLogOptions). */
export function logPath(target: StreamingTarget): string {
  const { namespace = "", name = "", uid = "" } = target.pod.metadata;
  const { query } = target;
  validateLogOptions(query);
  const container = containerOf(target.pod, query.get("container"));
  const sent = new URLSearchParams({ uid });
  for (const field of LOG_FIELDS) {
    const value = query.get(field);
    if (value !== null && value !== "") sent.set(field, value);
  }
  return `/containerLogs/${segment(namespace)}/${segment(name)}/${segment(container)}?${sent}`;
}

function validateLogOptions(query: URLSearchParams): void {
  const causes: StatusCause[] = [];
  const whole = (field: string, least: number, why: string) => {
    const text = query.get(field);
    if (text === null) return;
    if (!/^-?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    if (Number(text) < least)
      causes.push({ reason: "FieldValueInvalid", field, message: `Invalid value: ${text}: ${why}` });
  };
  whole("tailLines", 0, "must be greater than or equal to 0");
  whole("limitBytes", 1, "must be greater than 0");
  const seconds = query.get("sinceSeconds");
  const time = query.get("sinceTime");
  if (seconds !== null && time !== null)
    causes.push({
      reason: "FieldValueForbidden",
      field: "",
      message: "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
    });
  else whole("sinceSeconds", 1, "must be greater than 0");
  if (time !== null && Number.isNaN(Date.parse(time)))
    throw badRequest(`sinceTime: ${JSON.stringify(time)} is not a time`);
  if (causes.length > 0) throw invalid({ group: "", kind: "PodLogOptions" }, "", causes);
}
