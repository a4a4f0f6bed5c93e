/** How long a request may take that is no stream (upstream: pkg/endpoints/filters/request_deadline.go). */
import { parseDuration } from "#platform/rules/cel/time.ts";
import { badRequest, StatusError } from "#sdk/api/status.ts";

const REQUEST_MS_MAX = 60_000;

/** What was asked for may be done all the same. */
export const requestTimeout = (): StatusError =>
  new StatusError(504, "Timeout", "Timeout: request did not complete within the allotted timeout", {});

/** Milliseconds: what `?timeout=` says, unless it is no time at all or more than a minute. Throws 400 for what is no duration of Go's. */
export function requestMs(query: URLSearchParams): number {
  const text = query.get("timeout");
  if (!text) return REQUEST_MS_MAX;
  const asked = asMilliseconds(text);
  return asked > 0 && asked < REQUEST_MS_MAX ? asked : REQUEST_MS_MAX;
}

function asMilliseconds(text: string): number {
  try {
    return Number(parseDuration(text).nanos / 1_000_000n);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw badRequest(`invalid timeout specified in the request URL - ${reason}`);
  }
}
