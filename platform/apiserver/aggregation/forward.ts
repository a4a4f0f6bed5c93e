/** Passes requests on to extension servers as who asked, and their answers back: plain requests, watches and upgrades. */
import type { IncomingMessage } from "node:http";
import type { Duplex, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { unavailable } from "#sdk/api/status.ts";
import type { Exchange } from "../http/exchange.ts";
import { sendText } from "../http/respond.ts";
import { carried, forwardedFor, joinStreams } from "../proxy/proxy.ts";
import type { CheckParts } from "./availability.ts";
import { dial, isAvailable, isRemoteHeader, type RemoteApi, remoteHeaders } from "./remote.ts";

const UNAVAILABLE = "service unavailable\n";

function headersOf({ request, user }: Exchange): Record<string, string | string[]> {
  const kept = Object.entries(carried(request.headers)).filter(([name]) => !isRemoteHeader(name));
  return { ...Object.fromEntries(kept), ...forwardedFor(request), ...remoteHeaders(user) };
}

/** The tenant's prefix is this server's own affair. */
function pathAndQuery({ info, request }: Exchange): string {
  const query = (request.url ?? "").split(/\?(.*)/s, 2)[1];
  return info.path + (query === undefined ? "" : `?${query}`);
}

async function open(parts: CheckParts, exchange: Exchange, api: RemoteApi, more: Record<string, string> = {}) {
  const address = await parts.resolve(api.tenant, api.service);
  const headers = { ...headersOf(exchange), ...more };
  const path = pathAndQuery(exchange);
  return dial({ ...parts, api, address, method: exchange.method, path, headers, signal: exchange.signal });
}

export async function forwardRequest(parts: CheckParts, exchange: Exchange, api: RemoteApi): Promise<void> {
  const { request, response } = exchange;
  let answer: IncomingMessage;
  try {
    if (!isAvailable(api)) throw new Error(UNAVAILABLE);
    const sent = await open(parts, exchange, api);
    answer = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.on("response", resolve);
      sent.on("error", reject);
      request.pipe(sent);
    });
  } catch {
    // Why is in the APIService's condition, for those who may see it.
    sendText(response, 503, UNAVAILABLE);
    request.resume();
    return;
  }
  response.statusCode = answer.statusCode ?? 502;
  for (const [name, value] of Object.entries(carried(answer.headers))) response.setHeader(name, value);
  // Either side may go at any time; then so does the other.
  await pipeline(answer, response as unknown as Writable).catch(() => answer.destroy());
}

export async function forwardUpgrade(
  parts: CheckParts,
  exchange: Exchange,
  api: RemoteApi,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const upgrade = String(exchange.request.headers.upgrade ?? "");
  const sent = await open(parts, exchange, api, { connection: "Upgrade", upgrade });
  await joinStreams(sent, socket, head, () => unavailable("service unavailable"));
}
