/** The one place that writes responses: JSON or YAML text, compressed when large, and errors as Status. */
import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { stringify } from "yaml";
import { type Log, messageOf } from "#platform/base/log.ts";
import { internal, type Status, StatusError } from "#sdk/api/status.ts";
import type { Encoding } from "./negotiate.ts";

export type AnyResponse = ServerResponse | Http2ServerResponse;

const GZIP_MIN_BYTES = 128 * 1024;
const compress = promisify(gzip);

export interface ResponseOptions {
  code: number;
  encoding: Encoding;
  acceptGzip: boolean;
  warnings: readonly string[];
  requestId: string;
}

/** RFC 7234 warn-text: quoted, without what would end the header. */
const quoted = (text: string) =>
  `"${text
    .replace(/[\r\n\t]+/g, " ")
    .replace(/[^\x20-\x7e]/g, "?")
    .replace(/(["\\])/g, "\\$1")}"`;

/** `text` is JSON. Resolves when the response has been handed to the connection. */
export async function sendJson(response: AnyResponse, text: string, options: ResponseOptions): Promise<void> {
  if (response.headersSent || response.writableEnded) return;
  const yaml = options.encoding === "yaml";
  const body = Buffer.from(yaml ? stringify(JSON.parse(text)) : `${text}\n`);
  // Discovery documents come with headers of their own.
  if (!response.hasHeader("content-type"))
    response.setHeader("Content-Type", yaml ? "application/yaml" : "application/json");
  if (!response.hasHeader("cache-control")) response.setHeader("Cache-Control", "no-cache, private");
  response.setHeader("Audit-Id", options.requestId);
  if (options.warnings.length > 0)
    response.setHeader(
      "Warning",
      options.warnings.map((w) => `299 - ${quoted(w)}`),
    );
  response.statusCode = options.code;
  const zipped = options.acceptGzip && body.length > GZIP_MIN_BYTES;
  if (zipped) {
    response.setHeader("Content-Encoding", "gzip");
    response.setHeader("Vary", "Accept-Encoding");
  }
  const payload = zipped ? await compress(body, { level: 1 }) : body;
  response.setHeader("Content-Length", payload.length);
  response.end(payload);
}

export function sendText(response: AnyResponse, code: number, text: string, type = "text/plain; charset=utf-8"): void {
  response.statusCode = code;
  response.setHeader("Content-Type", type);
  response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("Cache-Control", "no-cache, private");
  response.end(text);
}

/** What is thrown becomes a Status here and nowhere else; what is not a StatusError is logged and answered as 500. */
export function statusOf(error: unknown, requestId: string, log: Log): Status {
  if (error instanceof StatusError) return error.status;
  log.error("request failed", {
    requestId,
    error: messageOf(error),
    stack: error instanceof Error ? error.stack : undefined,
  });
  return internal(`unexpected error, request id ${requestId}`).status;
}
