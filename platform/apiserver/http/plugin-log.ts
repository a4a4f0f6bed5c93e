/** plugins/NAME/log: what a plugin has said, with the options of pods' logs that make sense here. */
import type { ServerResponse } from "node:http";
import { badRequest, StatusError } from "#sdk/api/status.ts";
import type { Exchange } from "./exchange.ts";

export interface PluginLogRequest {
  tailLines?: number;
  timestamps: boolean;
  follow: boolean;
  /** Aborts when the client leaves. */
  signal: AbortSignal;
}
export type PluginLog = (tenant: string, plugin: string, request: PluginLogRequest) => AsyncIterable<string>;

const isTrue = (text: string | null): boolean => text === "true" || text === "1";

export async function sendLog({ info, context, query, response: out }: Exchange, read: PluginLog | undefined) {
  if (!read) throw new StatusError(503, "ServiceUnavailable", "this server keeps no logs of plugins");
  const tail = query.get("tailLines");
  if (tail !== null && !/^\d+$/.test(tail))
    throw badRequest(`tailLines: ${JSON.stringify(tail)} is no number of lines`);
  const ending = new AbortController();
  const response = out as ServerResponse;
  response.on("close", () => ending.abort());
  const lines = read(context.tenantName, info.name, {
    ...(tail === null ? {} : { tailLines: Number(tail) }),
    timestamps: isTrue(query.get("timestamps")),
    follow: isTrue(query.get("follow")),
    signal: ending.signal,
  });
  response.writeHead(200, { "content-type": "text/plain" });
  for await (const chunk of lines) {
    if (ending.signal.aborted) return;
    if (chunk !== "" && !response.write(chunk)) {
      await new Promise<void>((resolve) => {
        response.once("drain", resolve);
        ending.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }
  response.end();
}
