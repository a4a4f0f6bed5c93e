/** The one place that writes responses: JSON or YAML text or protobuf, compressed when large, and errors as Status. */
import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { stringify } from "yaml";
import { type Log, messageOf } from "#platform/base/log.ts";
import { internal, type Status, StatusError } from "#sdk/api/status.ts";
import { encodeProtobuf } from "../protobuf/encode.ts";
import { type Encoding, parseAccept } from "./negotiate.ts";

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

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

interface Ends {
  remoteAddress?: string | undefined;
  localAddress?: string | undefined;
}

/** No network lies between: what is sent as it is costs both sides less than to compress and to inflate it. */
export const isOnThisMachine = ({ remoteAddress, localAddress }: Ends): boolean =>
  remoteAddress !== undefined && (remoteAddress === localAddress || LOOPBACK.test(remoteAddress));

/** RFC 7234 warn-text: quoted, without what would end the header. */
const quoted = (text: string) =>
  `"${text
    .replace(/[\r\n\t]+/g, " ")
    .replace(/[^\x20-\x7e]/g, "?")
    .replace(/(["\\])/g, "\\$1")}"`;

const CONTENT_TYPES = {
  json: "application/json",
  yaml: "application/yaml",
  protobuf: "application/vnd.kubernetes.protobuf",
} as const;

/** A text is JSON, whatever it becomes; bytes are in the encoding already. Resolves when the response has been handed to the connection. */
export async function send(response: AnyResponse, content: string | Buffer, options: ResponseOptions): Promise<void> {
  if (response.headersSent || response.writableEnded) return;
  const encoding = typeof content === "string" && options.encoding === "protobuf" ? "json" : options.encoding;
  const body = typeof content === "string" ? textIn(encoding, content) : content;
  const length = Buffer.byteLength(body);
  // Discovery documents come with headers of their own.
  if (!response.hasHeader("content-type")) response.setHeader("Content-Type", CONTENT_TYPES[encoding]);
  if (!response.hasHeader("cache-control")) response.setHeader("Cache-Control", "no-cache, private");
  response.setHeader("Audit-Id", options.requestId);
  if (options.warnings.length > 0)
    response.setHeader(
      "Warning",
      options.warnings.map((w) => `299 - ${quoted(w)}`),
    );
  response.statusCode = options.code;
  const zipped = options.acceptGzip && length > GZIP_MIN_BYTES;
  if (zipped) {
    response.setHeader("Content-Encoding", "gzip");
    response.setHeader("Vary", "Accept-Encoding");
  }
  // A text goes out with its headers in one write.
  const payload = zipped ? await compress(body, { level: 1 }) : body;
  response.setHeader("Content-Length", zipped ? payload.length : length);
  response.end(payload);
}

const textIn = (encoding: Encoding, json: string): string =>
  encoding === "yaml" ? stringify(JSON.parse(json)) : `${json}\n`;

export function sendText(response: AnyResponse, code: number, text: string, type = "text/plain; charset=utf-8"): void {
  response.statusCode = code;
  response.setHeader("Content-Type", type);
  response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("Cache-Control", "no-cache, private");
  response.end(text);
}

/** A failure in the encoding that the client prefers, where it is one: a header that nothing fits gets JSON. */
export function encodedStatus(
  status: Status,
  accept: string | undefined,
): { content: string | Buffer; encoding: Encoding } {
  const first = parseAccept(accept ?? "")[0]?.type;
  const bytes = first === CONTENT_TYPES.protobuf ? encodeProtobuf(status) : undefined;
  return bytes
    ? { content: bytes, encoding: "protobuf" }
    : { content: JSON.stringify(status), encoding: first === CONTENT_TYPES.yaml ? "yaml" : "json" };
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
