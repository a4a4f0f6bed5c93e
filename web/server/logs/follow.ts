/**
 * Lines of a container's log as they come. Every line arrives with its time, and a message's id is the time of its last
 * line and how many lines had that very time; so a lost connection goes on where it was, without a line twice.
 */
import { StatusError, unavailable } from "#sdk/api/status.ts";
import { readLines, readText } from "#sdk/client/frames.ts";
import type { UserConnection } from "../port.ts";
import { batches } from "../resources/batches.ts";

export interface LogRequest {
  connection: UserConnection;
  tenant: string;
  namespace: string;
  pod: string;
  container: string;
  /** The log of the container's last run. */
  previous: boolean;
  tailLines: number;
  /** The id of the last message the browser has. */
  after: string | undefined;
  signal: AbortSignal;
  drained?(): Promise<void>;
}

export interface LogLine {
  /** RFC 3339 with nanoseconds. */
  time: string;
  text: string;
}

export type LogMessage = { type: "lines"; lines: LogLine[] } | { type: "ended" };

const BATCH = 1000;
const HEAD_TIMEOUT_MS = 30_000;
const ERROR_BYTES_MAX = 64 * 1024;

interface Place {
  time: string;
  count: number;
}

const idOf = ({ time, count }: Place): string => `${time}#${count}`;

function placeOf(id: string | undefined): Place | undefined {
  const [, time, count] = /^(\S+)#(\d+)$/.exec(id ?? "") ?? [];
  return time && count ? { time, count: Number(count) } : undefined;
}

/** Ends when the container has ended. Throws StatusError for what the API server refuses. */
export async function* followLog(request: LogRequest): AsyncGenerator<readonly [id: string, message: LogMessage]> {
  const from = placeOf(request.after);
  const stream = await open(request, from);
  try {
    let place: Place = from ?? { time: "start", count: 0 };
    let toSkip = from?.count ?? 0;
    for await (const batch of batches(readLines(stream), BATCH)) {
      const lines: LogLine[] = [];
      for (const line of batch.map(split)) {
        if (from && orderable(line.time) < orderable(from.time)) continue;
        if (from && line.time === from.time && toSkip > 0) {
          toSkip--;
          continue;
        }
        place = line.time === place.time ? { time: line.time, count: place.count + 1 } : { time: line.time, count: 1 };
        lines.push(line);
      }
      await request.drained?.();
      if (lines.length > 0) yield [idOf(place), { type: "lines", lines }];
    }
    yield [idOf(place), { type: "ended" }];
  } catch (error) {
    if (request.signal.aborted) return;
    throw error instanceof StatusError ? error : unavailable("The connection to the log was lost.");
  } finally {
    stream.destroy();
  }
}

/** Fractions of seconds in full, so that times compare as texts. */
const orderable = (time: string): string =>
  time.replace(
    /(:\d\d)(?:\.(\d+))?(?=Z|[+-]|$)/,
    (_, seconds: string, fraction = "") => `${seconds}.${fraction.padEnd(9, "0")}`,
  );

/** "2026-01-01T00:00:00.000000000Z text" */
function split(line: string): LogLine {
  const space = line.indexOf(" ");
  return space < 0 ? { time: line, text: "" } : { time: line.slice(0, space), text: line.slice(space + 1) };
}

async function open(request: LogRequest, from: Place | undefined) {
  const { connection, tenant, namespace, pod } = request;
  const query = new URLSearchParams({ container: request.container, timestamps: "true" });
  query.set(request.previous ? "previous" : "follow", "true");
  // The server counts in whole seconds; what came before the place within that second is skipped above.
  const since = from ? Date.parse(from.time) : Number.NaN;
  if (!Number.isNaN(since)) query.set("sinceTime", `${new Date(since).toISOString().slice(0, 19)}Z`);
  else query.set("tailLines", String(request.tailLines));
  const prefix = tenant === "" ? "" : `/tenants/${tenant}`;
  const exchange = await connection.transport.send(
    {
      ...connection.headers,
      ":method": "GET",
      ":path": `${prefix}/api/v1/namespaces/${namespace}/pods/${pod}/log?${query}`,
    },
    undefined,
    request.signal,
    HEAD_TIMEOUT_MS,
  );
  if (exchange.code < 300) return exchange.stream;
  throw statusOf(exchange.code, await readText(exchange.stream, ERROR_BYTES_MAX));
}

function statusOf(code: number, body: string): StatusError {
  try {
    return StatusError.from(JSON.parse(body));
  } catch {
    return new StatusError(code, "", body.slice(0, 1024) || `The API server answers ${code}.`);
  }
}
