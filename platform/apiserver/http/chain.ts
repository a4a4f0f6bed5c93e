/**
 * The way of a request: limits → who (authn) → which tenant → whether (authz) → what (dispatch). Every failure is thrown as StatusError and
 * becomes a response in one place.
 */
import { randomUUID } from "node:crypto";
import type { ServerHttp2Session } from "node:http2";
import type { TLSSocket } from "node:tls";
import { type Log, messageOf } from "#platform/base/log.ts";
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { internal, methodNotSupported, notFound, unauthorized } from "#sdk/api/status.ts";
import type { Audit, AuditRecord } from "../audit/audit.ts";
import { ANONYMOUS, type AnonymousRule, type Authenticator } from "../authn/authenticator.ts";
import { type AuthorizationAttributes, type Authorizer, denial } from "../authz/authorizer.ts";
import type { Fairness, Place } from "../fairness/fairness.ts";
import type { FeatureGates } from "../features/features.ts";
import type { UserInfo } from "../registry/admission.ts";
import { type AnyRequest, observeBody } from "./body.ts";
import { requestMs, requestTimeout } from "./deadline.ts";
import type { Exchange } from "./exchange.ts";
import { impersonate, wantedUser } from "./impersonation.ts";
import { Metrics } from "./metrics.ts";
import { PageNotFound } from "./refusals.ts";
import { nameForAuthorization, parseRequest, type RequestInfo } from "./requestInfo.ts";
import { type AnyResponse, encodedStatus, send, sendText, statusOf } from "./respond.ts";
import { isShared } from "./shared.ts";
import { recordWarnings } from "./warnings.ts";
import { bearerOfProtocols } from "./websocket.ts";

export interface ChainParts {
  authenticator: Authenticator;
  authorizer: Authorizer;
  tenants: TenantDirectory;
  log: Log;
  clock: { now(): number };
  fairness: Fairness;
  features: FeatureGates;
  /** Absent: every request without credentials is anonymous. */
  anonymous?: AnonymousRule;
  /** Absent without a policy. */
  audit?: Audit;
  dispatch(exchange: Exchange): Promise<void>;
  /** Aborts when the server stops: ends watches. */
  stopping: AbortSignal;
}

const NO_BASIC =
  "basic authentication is not served (Kubernetes removed it in 1.19): use a client certificate, a service account's token, or a token of an OIDC issuer";
/** For everybody, credentials or none. */
const PUBLIC_PATHS = new Set(["/healthz", "/livez", "/readyz", "/version"]);
/** Upstream's --long-running-request-regexp default. */
const LONG_SUBRESOURCES = new Set(["log", "proxy", "exec", "attach", "portforward"]);
const WILDCARD_VERBS = new Set(["get", "list", "watch"]);

const isLong = ({ verb, subresource }: RequestInfo): boolean => verb === "watch" || LONG_SUBRESOURCES.has(subresource);

/** What was learnt of a request before it failed. */
export interface Trace {
  exchange?: Exchange;
  info?: RequestInfo;
  warnings?: string[];
  audit?: AuditRecord | undefined;
}

export interface Arrival {
  request: AnyRequest;
  method: string;
  url: URL;
}

export class Chain {
  readonly #parts: ChainParts;
  readonly metrics = new Metrics();
  /** Requests on their way: one listener on `stopping` for all costs far less than a composite signal for each. */
  readonly #open = new Set<AbortController>();

  constructor(parts: ChainParts) {
    this.#parts = parts;
    parts.stopping.addEventListener("abort", () => {
      for (const each of this.#open) each.abort();
    });
  }

  /** Aborted when the server stops, until `done`; `gone` aborts it when the client leaves before. */
  begin(): { signal: AbortSignal; gone(): void; done(): void } {
    const ends = new AbortController();
    if (this.#parts.stopping.aborted) ends.abort();
    this.#open.add(ends);
    return {
      signal: ends.signal,
      gone: () => void (this.#open.delete(ends) && ends.abort()),
      done: () => void this.#open.delete(ends),
    };
  }

  /** Never throws and never leaves a response open. */
  async serve(request: AnyRequest, response: AnyResponse): Promise<void> {
    const { log, clock } = this.#parts;
    const began = clock.now();
    const requestId = randomUUID();
    const { signal, gone, done } = this.begin();
    response.on("close", gone);
    response.on("error", gone);
    request.on("error", gone);
    const trace: Trace = {};
    try {
      const exchange = await this.admit(request, response, requestId, signal, trace);
      trace.exchange = exchange;
      await this.#limited(exchange, gone);
    } catch (error) {
      await this.#fail(request, response, error, requestId, trace);
    } finally {
      done();
      const long = trace.info !== undefined && isLong(trace.info);
      this.metrics.finished(
        trace.exchange?.served ? trace.info : undefined,
        response.statusCode,
        (clock.now() - began) / 1000,
        long,
      );
      trace.audit?.stage("ResponseComplete", response.statusCode);
    }
    log.debug("request", {
      requestId,
      method: request.method,
      path: request.url?.split("?")[0],
      code: response.statusCode,
    });
  }

  async #limited(exchange: Exchange, gone: () => void): Promise<void> {
    const { info, response, user } = exchange;
    const long = isLong(info);
    const ended = this.metrics.begin(info, long);
    let place: Place | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      // What streams holds no seat; a watch holds one until it has begun.
      if (!LONG_SUBRESOURCES.has(info.subresource)) {
        const { scope: tenants, query } = exchange;
        const size = { tenants, name: nameForAuthorization(info, query), limit: Number(query.get("limit")) };
        place = await this.#parts.fairness.enter({ ...info, ...size, user }, exchange.signal);
        response.setHeader("X-Kubernetes-PF-FlowSchema-UID", place.schemaUid);
        response.setHeader("X-Kubernetes-PF-PriorityLevel-UID", place.levelUid);
      }
      if (long) {
        place?.finish();
        exchange.audit?.stage("ResponseStarted", 200);
        await this.#parts.dispatch(exchange);
        return;
      }
      const late = Promise.withResolvers<never>();
      timer = setTimeout(() => {
        // Whoever reads an answer slowly may go on.
        if (!response.headersSent) late.reject(requestTimeout());
        gone();
      }, requestMs(exchange.query));
      await Promise.race([this.#parts.dispatch(exchange), late.promise]);
    } finally {
      clearTimeout(timer);
      place?.finish();
      ended();
    }
  }

  async #fail(
    request: AnyRequest,
    response: AnyResponse,
    error: unknown,
    requestId: string,
    trace: Trace,
  ): Promise<void> {
    const status = statusOf(error, requestId, this.#parts.log);
    if (response.headersSent) {
      response.end();
      return;
    }
    const { retryAfterSeconds } = status.details ?? {};
    if (retryAfterSeconds) response.setHeader("Retry-After", retryAfterSeconds);
    if (status.code === 401) response.setHeader("WWW-Authenticate", 'Bearer realm="capstan"');
    trace.audit?.failed(status as unknown as JsonObject);
    if (error instanceof PageNotFound) return sendText(response, 404, PageNotFound.text);
    const warnings = trace.warnings ?? [];
    const { content, encoding } = encodedStatus(status, request.headers.accept);
    const options = { code: status.code ?? 500, encoding, acceptGzip: false, warnings, requestId };
    await send(response, content, options).catch((e: unknown) =>
      this.#parts.log.warn("answering failed", { requestId, error: messageOf(e) }),
    );
    // What is left of a refused body is not worth reading.
    if (status.code === 413) request.resume();
  }

  /** Authentication, tenant and authorization: the part that upgrades share with plain requests. */
  async admit(
    request: AnyRequest,
    response: AnyResponse,
    requestId: string,
    signal: AbortSignal,
    trace: Trace = {},
  ): Promise<Exchange> {
    const { clock, audit } = this.#parts;
    const method = request.method ?? "GET";
    const [path = "/", search = ""] = splitOnce(request.url ?? "/", "?");
    const query = new URLSearchParams(search);
    const info = parseRequest(method, path, query);
    trace.info = info;
    if (!isLong(info)) requestMs(query);
    const authenticated = await this.#authenticate(request, info);
    if (audit) {
      trace.audit = audit.begin({ id: requestId, request, info, user: authenticated, received: clock.now() });
      if (trace.audit) observeBody(request, (body) => trace.audit?.requested(body));
    }
    const { user, scope, tenantName } = await this.#tenant(authenticated, info);
    const attributes = this.#attributes(user, scope, info, query);
    const wanted = wantedUser(request.rawHeaders);
    const authorize = (asked: AuthorizationAttributes) => this.#authorize(asked, undefined);
    const constrained = this.#parts.features.enabled("ConstrainedImpersonation");
    const acting = wanted && (await impersonate({ user, wanted, tenant: scope, attributes, constrained, authorize }));
    const as = acting?.user ?? user;
    if (trace.audit && acting) trace.audit.impersonated = acting;
    await this.#authorize({ ...attributes, user: as }, info, trace.audit);
    const warnings: string[] = [];
    trace.warnings = warnings;
    const shared = isShared(scope, info);
    const tenant = scope === "*" || shared ? ROOT_TENANT : scope;
    const warn = recordWarnings(warnings);
    const context = { tenant, tenantName, user: as, now: clock.now(), requestId, signal, warn };
    const recorded = trace.audit ? { audit: trace.audit } : {};
    const what = { info, context, warnings, user: as, scope: shared ? ROOT_TENANT : scope, shared };
    return { request, response, method, query, ...what, signal, ...recorded };
  }

  /** A WebSocket begins with GET: what it then does to a pod needs `verb` as well. */
  async alsoMay({ user, scope, info, query }: Exchange, verb: string): Promise<void> {
    if (info.verb !== verb) await this.#authorize(this.#attributes(user, scope, { ...info, verb }, query), info);
  }

  async #authenticate(request: AnyRequest, info: RequestInfo): Promise<UserInfo> {
    const socket = request.socket as TLSSocket;
    const certificate = peerCertificate(request, socket);
    const header = String(request.headers.authorization ?? "");
    const bearer = /^bearer +(\S+)$/i.exec(header)?.[1] ?? bearerOfProtocols(request);
    const headers = request.headers["x-remote-user"] === undefined ? undefined : request.headers;
    const tenantName = bearer === undefined && !headers ? undefined : info.tenant;
    const user = await this.#parts.authenticator.authenticate(
      {
        ...(certificate ? { certificate } : {}),
        ...(bearer ? { bearer } : {}),
        ...(headers ? { headers } : {}),
        ...(tenantName ? { tenantName } : {}),
      },
      this.#parts.clock.now(),
    );
    if (user) return user;
    // Credentials that nobody knows are refused; none at all is anonymous, which may do next to nothing.
    if (/^basic /i.test(header)) throw unauthorized(NO_BASIC);
    if (header !== "" || this.#parts.anonymous?.(info.path) === false) throw unauthorized();
    const named =
      info.tenant === undefined || info.tenant === "*" ? undefined : await this.#parts.tenants.resolve(info.tenant);
    return { tenant: named?.id ?? ROOT_TENANT, ...ANONYMOUS };
  }

  /** Which tenant's objects are meant, and whether this user may reach it. */
  async #tenant(
    user: UserInfo,
    info: RequestInfo,
  ): Promise<{ user: UserInfo; scope: TenantId | "*"; tenantName: string }> {
    const { tenants } = this.#parts;
    if (info.tenant === undefined)
      return { user, scope: user.tenant, tenantName: tenants.byId(user.tenant)?.name ?? "" };
    if (info.tenant === "*") {
      await this.#mayReach(user, "*");
      if (info.isResource && !WILDCARD_VERBS.has(info.verb)) {
        throw methodNotSupported({ group: info.group, resource: info.resource }, `${info.verb} over all tenants`);
      }
      return { user, scope: "*", tenantName: "*" };
    }
    const tenant = await tenants.resolve(info.tenant);
    if (tenant?.id !== user.tenant) await this.#mayReach(user, info.tenant);
    if (!tenant) throw notFound({ group: "capstan.dev", resource: "tenants" }, info.tenant);
    return { user, scope: tenant.id, tenantName: tenant.name };
  }

  /** Crossing into another tenant is root's to allow: verb `access` on tenants/NAME. */
  async #mayReach(user: UserInfo, name: string): Promise<void> {
    const resource = { group: "capstan.dev", version: "v1", resource: "tenants", subresource: "", namespace: "", name };
    const attributes: AuthorizationAttributes = { user, tenant: ROOT_TENANT, verb: "access", resource };
    if (user.tenant !== ROOT_TENANT) throw denial(attributes);
    await this.#authorize(attributes, undefined);
  }

  async #authorize(
    attributes: AuthorizationAttributes,
    info: RequestInfo | undefined,
    audit?: AuditRecord,
  ): Promise<void> {
    if (info && !info.isResource && isPublic(info.path)) return;
    const { decision, reason, error } = await this.#parts.authorizer.authorize(attributes);
    if (audit) {
      audit.annotations["authorization.k8s.io/decision"] = decision === "allow" ? "allow" : "forbid";
      audit.annotations["authorization.k8s.io/reason"] = reason ?? "";
    }
    if (decision === "allow") return;
    // An authorizer that could not tell might have allowed it: that is no denial.
    if (error) throw internal(error);
    throw denial(attributes, reason);
  }

  #attributes(
    user: UserInfo,
    tenant: TenantId | "*",
    info: RequestInfo,
    query: URLSearchParams,
  ): AuthorizationAttributes {
    if (!info.isResource) return { user, tenant, verb: info.verb, path: info.path };
    const { verb, group, version, resource, subresource, namespace } = info;
    const name = nameForAuthorization(info, query);
    const fieldSelector = query.get("fieldSelector") ?? "";
    const labelSelector = query.get("labelSelector") ?? "";
    const what = { group, version, resource, subresource, namespace, name };
    return { user, tenant, verb, resource: what, fieldSelector, labelSelector };
  }
}

const isPublic = (path: string) => PUBLIC_PATHS.has(path) || /^\/(livez|readyz)\/[a-z0-9-]+$/.test(path);

function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** By connection: taking it apart anew for each request was a sixth of the time of a create. No renegotiation changes it (server.ts). */
const peerCertificates = new WeakMap<object, { raw: Buffer | undefined }>();

function peerCertificate(request: AnyRequest, socket: TLSSocket): Buffer | undefined {
  // HTTP/2 requests show a proxy of the socket; the session is one connection too.
  const { session } = (request as { stream?: { session?: ServerHttp2Session } }).stream ?? {};
  const connection = session ?? socket;
  let known = peerCertificates.get(connection);
  if (!known) {
    const tls = (session?.socket ?? socket) as Partial<TLSSocket>;
    known = { raw: tls.getPeerCertificate?.(false)?.raw };
    peerCertificates.set(connection, known);
  }
  return known.raw;
}
