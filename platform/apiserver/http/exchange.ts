/** One request on its way through the chain. */

import type { TenantId } from "#platform/store/port.ts";
import type { AuditRecord } from "../audit/audit.ts";
import type { UserInfo } from "../registry/admission.ts";
import type { RequestContext } from "../registry/strategy.ts";
import type { AnyRequest } from "./body.ts";
import type { Accepted } from "./negotiate.ts";
import type { RequestInfo } from "./requestInfo.ts";
import { type AnyResponse, isOnThisMachine, send } from "./respond.ts";

export interface Exchange {
  request: AnyRequest;
  response: AnyResponse;
  method: string;
  query: URLSearchParams;
  info: RequestInfo;
  context: RequestContext;
  warnings: string[];
  user: UserInfo;
  /** "*" for reads over all tenants. */
  scope: TenantId | "*";
  /** Root's objects, as a tenant is shown them. */
  shared: boolean;
  /** The path names a resource that is served (or none): only such names become labels of metrics. */
  served?: boolean;
  /** Set while an audit policy records this request. */
  audit?: AuditRecord;
  /** Set for long answers: ends with the client, the server or the time given. */
  signal: AbortSignal;
}

export function answer(
  exchange: Exchange,
  code: number,
  content: string | Buffer,
  accepted: Pick<Accepted, "encoding">,
): Promise<void> {
  exchange.audit?.answered(content);
  const { headers, socket } = exchange.request;
  return send(exchange.response, content, {
    code,
    encoding: accepted.encoding,
    acceptGzip: /\bgzip\b/.test(String(headers["accept-encoding"] ?? "")) && !isOnThisMachine(socket),
    warnings: exchange.warnings,
    requestId: exchange.context.requestId,
  });
}
