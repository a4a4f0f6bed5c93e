/**
 * The capability `http`: requests to the origins that were granted, with verified TLS, bounded in time and size. A tenant's plugins reach
 * neither the host itself nor link-local addresses, whatever a name resolves to.
 */
import { lookup as resolveName } from "node:dns";
import { type ClientRequest, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { denied, hostFailure } from "./failure.ts";

const BODY_BYTES_MAX = 8 * 1024 * 1024;
const HEADERS_MAX = 100;

export interface HttpRequest {
  method: string;
  url: string;
  headers: [name: string, value: string][];
  body: Uint8Array;
}

export interface HttpAnswer {
  status: number;
  headers: [name: string, value: string][];
  body: Uint8Array;
}

const unavailable = (message: string) => hostFailure("Unavailable", 503, message);

/** The machine's own addresses, which are nobody's but root's. */
function isOwnAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, "").toLowerCase();
  if (isIP(plain) === 4) return /^(0\.|127\.|169\.254\.)/.test(plain);
  return plain === "::1" || plain === "::" || plain.startsWith("fe80:");
}

/** Resolves names, and fails for what must not be dialled. */
export const guarded: LookupFunction = (hostname, options, callback) => {
  resolveName(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, "", 0);
    const allowed = addresses.filter(({ address }) => !isOwnAddress(address));
    const [first] = allowed;
    if (!first) return callback(new Error(`${hostname} is an address of the platform's own machine`), "", 0);
    if (options.all) callback(null, allowed);
    else callback(null, first.address, first.family);
  });
};

/** `isRoot`: of root's plugins. Throws HostFailure where no answer came. */
export async function sendHttp(
  request: HttpRequest,
  origins: readonly string[],
  timeoutMs: number,
  isRoot: boolean,
): Promise<HttpAnswer> {
  const url = URL.parse(request.url);
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw hostFailure("Invalid", 400, `${JSON.stringify(request.url)} is no URL`);
  if (!origins.some((origin) => URL.parse(origin)?.origin === url.origin)) throw denied(`http ${url.origin}`);
  const bare = url.hostname.replace(/^\[|\]$/g, "");
  if (!isRoot && isIP(bare) !== 0 && isOwnAddress(bare)) throw denied(`http ${url.origin}`);
  return await send(url, request, timeoutMs, isRoot);
}

function send(url: URL, request: HttpRequest, timeoutMs: number, isRoot: boolean): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const options = { method: request.method || "GET", ...(isRoot ? {} : { lookup: guarded }) };
    let sent: ClientRequest;
    try {
      sent = (url.protocol === "https:" ? tlsRequest : plainRequest)(url, options);
      for (const [name, value] of request.headers.slice(0, HEADERS_MAX)) sent.appendHeader(name, value);
    } catch (error) {
      return reject(hostFailure("Invalid", 400, error instanceof Error ? error.message : String(error)));
    }
    const late = setTimeout(
      () => fail(hostFailure("DeadlineExceeded", 504, `${url.origin} did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const fail = (failure: Error) => {
      clearTimeout(late);
      reject(failure);
      sent.destroy();
    };
    sent.on("error", (error) => fail(unavailable(`${url.origin}: ${error.message}`)));
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > BODY_BYTES_MAX)
          fail(hostFailure("TooLarge", 413, `the answer is larger than ${BODY_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      });
      response.on("error", (error) => fail(unavailable(`${url.origin}: ${error.message}`)));
      response.on("end", () => {
        clearTimeout(late);
        const { rawHeaders: raw, statusCode: status = 0 } = response;
        const headers: [string, string][] = [];
        for (let i = 0; i + 1 < raw.length && headers.length < HEADERS_MAX; i += 2)
          headers.push([(raw[i] ?? "").toLowerCase(), raw[i + 1] ?? ""]);
        resolve({ status, headers, body: new Uint8Array(Buffer.concat(chunks)) });
      });
    });
    sent.end(request.body);
  });
}
