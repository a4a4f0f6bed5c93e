/** Audit: one event a stage of each request that the policy names, to the sinks. Without a policy nothing here runs. */
import { isIP } from "node:net";
import { microTimeText } from "#platform/base/clock.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import type { AnyRequest } from "../http/body.ts";
import { mediaType } from "../http/negotiate.ts";
import type { RequestInfo } from "../http/requestInfo.ts";
import { decodeProtobuf } from "../protobuf/decode.ts";
import type { UserInfo } from "../registry/admission.ts";
import { type AuditPolicy, type AuditStage, type Decision, decide } from "./policy.ts";

export type AuditEvent = JsonObject;

const SOURCES_MAX = 16;

export interface AuditSink {
  /** "log" or "webhook", as upstream's metrics call them. */
  readonly name: string;
  /** Events that it could not take or deliver. */
  readonly lost: number;
  /** Never throws and never waits: what a sink cannot take it drops and counts. */
  write(event: AuditEvent): void;
  close(): Promise<void>;
}

/** What is known of a request when its recording begins: after authentication, before anything is decided. */
export interface AuditSubject {
  id: string;
  request: AnyRequest;
  info: RequestInfo;
  user: UserInfo;
  received: number;
}

/** The recording of one request. */
export class AuditRecord {
  readonly #subject: AuditSubject;
  readonly #decision: Decision;
  readonly #write: (event: AuditEvent) => void;
  readonly #clock: { now(): number };
  readonly annotations: Record<string, string> = {};
  /** Who is acted as, and the verb of constrained impersonation that allowed it. */
  impersonated: { user: UserInfo; constraint?: string } | undefined;
  #request: JsonObject | undefined;
  #response: JsonObject | undefined;
  /** Of a refusal: told at every level. */
  #failure: JsonObject | undefined;
  /** Of an object without a name in its path: what the body said. */
  #named: JsonObject = {};

  constructor(subject: AuditSubject, decision: Decision, clock: { now(): number }, write: (event: AuditEvent) => void) {
    this.#subject = subject;
    this.#decision = decision;
    this.#clock = clock;
    this.#write = write;
    this.stage("RequestReceived");
  }

  /** The request's body as it came. */
  requested(body: Buffer): void {
    const whole = this.#decision.level === "Request" || this.#decision.level === "RequestResponse";
    const { info, request } = this.#subject;
    const nameless = info.isResource && info.verb === "create" && info.name === "";
    if (!whole && !nameless) return;
    const object = this.#object(body, mediaType(request.headers["content-type"]));
    if (nameless) this.#named = nameOf(object);
    if (whole) this.#request = object;
  }

  /** The Status of a refusal. */
  failed(status: JsonObject): void {
    this.#failure = status;
    this.answered(JSON.stringify(status));
  }

  /** The answer as it goes, in JSON or in protobuf. */
  answered(content: string | Buffer): void {
    if (this.#decision.level !== "RequestResponse") return;
    const type = typeof content === "string" ? "application/json" : "application/vnd.kubernetes.protobuf";
    this.#response = this.#object(Buffer.from(content), type);
  }

  #object(bytes: Buffer, type: string): JsonObject | undefined {
    try {
      const object =
        type === "application/vnd.kubernetes.protobuf"
          ? decodeProtobuf(bytes)
          : (JSON.parse(bytes.toString("utf8")) as JsonObject);
      if (this.#decision.omitManagedFields) withoutManagedFields(object);
      return object;
    } catch {
      // YAML, or not an object at all: the event tells who did what all the same.
      return undefined;
    }
  }

  stage(stage: AuditStage, code?: number): void {
    const { level, omitStages } = this.#decision;
    if (omitStages.has(stage)) return;
    const { id, request, info, user, received } = this.#subject;
    this.#write({
      kind: "Event",
      apiVersion: "audit.k8s.io/v1",
      level,
      auditID: id,
      stage,
      requestURI: request.url ?? "",
      verb: info.verb,
      user: shown(user),
      ...(this.impersonated ? { impersonatedUser: shown(this.impersonated.user) } : {}),
      ...(this.impersonated?.constraint
        ? { authenticationMetadata: { impersonationConstraint: this.impersonated.constraint } }
        : {}),
      sourceIPs: sourceAddresses(request),
      userAgent: String(request.headers["user-agent"] ?? ""),
      ...(info.isResource ? { objectRef: { ...this.#named, ...reference(info) } } : {}),
      ...(code === undefined ? {} : { responseStatus: this.#status(code) }),
      ...(this.#request ? { requestObject: this.#request } : {}),
      ...(this.#response ? { responseObject: this.#response } : {}),
      requestReceivedTimestamp: microTimeText(received),
      stageTimestamp: microTimeText(this.#clock.now()),
      ...(Object.keys(this.annotations).length > 0 ? { annotations: this.annotations } : {}),
    });
  }

  #status(code: number): JsonObject {
    const { kind, status, message, reason, details } = this.#failure ?? this.#response ?? {};
    const told = kind === "Status" ? { status, message, reason, details } : {};
    return JSON.parse(JSON.stringify({ metadata: {}, ...told, code })) as JsonObject;
  }
}

const shown = ({ name, uid, groups, extra }: UserInfo): JsonObject => ({
  username: name,
  ...(uid === undefined ? {} : { uid }),
  groups: [...groups],
  ...(extra ? { extra: extra as JsonObject } : {}),
});

function nameOf(object: JsonObject | undefined): JsonObject {
  const { name, uid } = (object?.["metadata"] ?? {}) as JsonObject;
  return { ...(typeof name === "string" ? { name } : {}), ...(typeof uid === "string" ? { uid } : {}) };
}

/** Who sent it, as proxies tell and, last, as the connection does: that alone cannot be made up. */
function sourceAddresses({ headers, socket }: AnyRequest): string[] {
  const told = [String(headers["x-forwarded-for"] ?? "").split(","), String(headers["x-real-ip"] ?? "")].flat();
  const addresses = [...new Set(told.map((one) => one.trim()).filter((one) => isIP(one) !== 0))].slice(0, SOURCES_MAX);
  const remote = socket.remoteAddress?.replace(/^::ffff:/, "");
  return remote === undefined || addresses.at(-1) === remote ? addresses : [...addresses, remote];
}

function reference({ group, version, resource, subresource, namespace, name }: RequestInfo): JsonObject {
  const all = { resource, namespace, name, apiGroup: group, apiVersion: version, subresource };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
}

function withoutManagedFields(object: JsonObject): void {
  const items = Array.isArray(object["items"]) ? (object["items"] as JsonObject[]) : [];
  for (const one of [object, ...items]) {
    const { metadata } = one;
    if (typeof metadata === "object" && metadata !== null && !Array.isArray(metadata)) delete metadata["managedFields"];
  }
}

export class Audit {
  readonly #policy: AuditPolicy;
  readonly #sinks: readonly AuditSink[];
  readonly #clock: { now(): number };
  events = 0;

  constructor(policy: AuditPolicy, sinks: readonly AuditSink[], clock: { now(): number }) {
    this.#policy = policy;
    this.#sinks = sinks;
    this.#clock = clock;
  }

  /** Undefined: not recorded. */
  begin(subject: AuditSubject): AuditRecord | undefined {
    const decision = decide(this.#policy, subject.user, subject.info);
    if (decision.level === "None") return undefined;
    return new AuditRecord(subject, decision, this.#clock, (event) => {
      this.events++;
      for (const sink of this.#sinks) sink.write(event);
    });
  }

  /** Samples of upstream's audit metrics. */
  metrics(): Map<string, number> {
    const samples = new Map([["apiserver_audit_event_total", this.events]]);
    for (const { name, lost } of this.#sinks) samples.set(`apiserver_audit_error_total{plugin="${name}"}`, lost);
    return samples;
  }

  async close(): Promise<void> {
    await Promise.all(this.#sinks.map((sink) => sink.close()));
  }
}
