/** Validation of probes and of what runs beside a container's life (validateProbe, validateHandler, validateLifecycle). */
import type {
  ExecAction,
  GRPCAction,
  HTTPGetAction,
  Lifecycle,
  Probe,
  SleepAction,
  TCPSocketAction,
} from "#sdk/api/generated/types.ts";
import { isInRange, isPortName, regexMessage } from "#sdk/api/names.ts";
import { type Causes, forbiddenField, invalidValue, notSupported, required } from "../../../registry/causes.ts";
import { each, nonNegative } from "../../checks.ts";

const SCHEMES = ["HTTP", "HTTPS"];
const HEADER = "[-A-Za-z0-9]+";
const HEADER_PATTERN = new RegExp(`^${HEADER}$`);
const HEADER_MESSAGE = regexMessage(
  "a valid HTTP header must consist of alphanumeric characters or '-'",
  HEADER,
  "X-Header-Name",
);

const validatePort = (port: number | string | undefined, field: string): Causes =>
  typeof port === "string"
    ? each(isPortName(port), field, port)
    : each(isInRange(port ?? 0, 1, 65535), field, port ?? 0);

interface Handler {
  exec?: ExecAction;
  httpGet?: HTTPGetAction;
  tcpSocket?: TCPSocketAction;
  grpc?: GRPCAction;
  sleep?: SleepAction;
}

function validateGet({ path, port, scheme = "", httpHeaders = [] }: HTTPGetAction, at: string): Causes {
  return [
    ...(path ? [] : [required(`${at}.path`)]),
    ...validatePort(port, `${at}.port`),
    ...(SCHEMES.includes(scheme) ? [] : [notSupported(`${at}.scheme`, scheme, SCHEMES)]),
    ...httpHeaders.flatMap(({ name = "" }) =>
      HEADER_PATTERN.test(name) ? [] : [invalidValue(`${at}.httpHeaders`, name, HEADER_MESSAGE)],
    ),
  ];
}

function validateSleep({ seconds }: SleepAction, grace: number | undefined, at: string): Causes {
  const value = seconds ?? 0;
  return grace !== undefined && (value < 0 || value > grace)
    ? [invalidValue(at, value, `must be non-negative and less than terminationGracePeriodSeconds (${grace})`)]
    : [];
}

const HANDLERS = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] as const;

/** `grace` is the pod's period, which a sleep must fit in. */
function validateHandler(handler: Handler, grace: number | undefined, path: string): Causes {
  const [first, ...others] = HANDLERS.filter((kind) => handler[kind] !== undefined);
  if (!first) return [required(path, "must specify a handler type")];
  const at = `${path}.${first}`;
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler;
  const causes: Causes = [];
  if (first === "exec" && !exec?.command?.length) causes.push(required(`${at}.command`));
  if (first === "httpGet" && httpGet) causes.push(...validateGet(httpGet, at));
  if (first === "tcpSocket") causes.push(...validatePort(tcpSocket?.port, `${at}.port`));
  if (first === "grpc") causes.push(...validatePort(grpc?.port, `${at}.port`));
  if (first === "sleep" && sleep) causes.push(...validateSleep(sleep, grace, at));
  return [...causes, ...others.map((k) => forbiddenField(`${path}.${k}`, "may not specify more than 1 handler type"))];
}

const COUNTS = [
  "initialDelaySeconds",
  "timeoutSeconds",
  "periodSeconds",
  "successThreshold",
  "failureThreshold",
] as const;

export type ProbeKind = "livenessProbe" | "readinessProbe" | "startupProbe";

export function validateProbe(probe: Probe | undefined, kind: ProbeKind, path: string): Causes {
  if (!probe) return [];
  const { exec, httpGet, tcpSocket, grpc, terminationGracePeriodSeconds: grace } = probe;
  const handler: Handler = { exec, httpGet, tcpSocket, grpc };
  const causes = validateHandler(handler, undefined, path);
  for (const field of COUNTS) causes.push(...nonNegative(probe[field], `${path}.${field}`));
  const at = `${path}.terminationGracePeriodSeconds`;
  if (grace !== undefined && grace <= 0) causes.push(invalidValue(at, grace, "must be greater than 0"));
  if (kind === "readinessProbe") {
    if (grace !== undefined) causes.push(invalidValue(at, grace, "must not be set for readinessProbes"));
  } else if ((probe.successThreshold ?? 0) !== 1)
    causes.push(invalidValue(`${path}.successThreshold`, probe.successThreshold ?? 0, "must be 1"));
  return causes;
}

export const validateLifecycle = (
  { postStart, preStop }: Lifecycle,
  grace: number | undefined,
  path: string,
): Causes => [
  ...(postStart ? validateHandler(postStart, grace, `${path}.postStart`) : []),
  ...(preStop ? validateHandler(preStop, grace, `${path}.preStop`) : []),
];
