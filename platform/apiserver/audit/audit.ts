/** Audit: one event a stage of each request that the policy names, to the sinks. Without a policy nothing here runs. */
import { microTimeText } from "#platform/base/clock.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import type { AnyRequest } from "../http/body.ts";
import { mediaType } from "../http/negotiate.ts";
import type { RequestInfo } from "../http/requestInfo.ts";
import { decodeProtobuf } from "../protobuf/decode.ts";
import type { UserInfo } from "../registry/admission.ts";
import { type AuditPolicy, type AuditStage, type Decision, decide } from "./policy.ts";

export type AuditEvent = JsonObject;

export interface AuditSink {
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

  constructor(subject: AuditSubject, decision: Decision, clock: { now(): number }, write: (event: AuditEvent) => void) {
    this.#subject = subject;
    this.#decision = decision;
    this.#clock = clock;
    this.#write = write;
    this.stage("RequestReceived");
  }

  /** The request's body as it came. */
  requested(body: Buffer): void {
    if (this.#decision.level !== "Request" && this.#decision.level !== "RequestResponse") return;
    this.#request = this.#object(body, mediaType(this.#subject.request.headers["content-type"]));
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
      sourceIPs: [request.socket.remoteAddress ?? ""],
      userAgent: String(request.headers["user-agent"] ?? ""),
      ...(info.isResource ? { objectRef: reference(info) } : {}),
      ...(code === undefined ? {} : { responseStatus: this.#status(code) }),
      ...(this.#request ? { requestObject: this.#request } : {}),
      ...(this.#response ? { responseObject: this.#response } : {}),
      requestReceivedTimestamp: microTimeText(received),
      stageTimestamp: microTimeText(this.#clock.now()),
      ...(Object.keys(this.annotations).length > 0 ? { annotations: this.annotations } : {}),
    });
  }

  #status(code: number): JsonObject {
    const { kind, status, message, reason } = this.#response ?? {};
    const told = kind === "Status" ? { status, message, reason } : {};
    return JSON.parse(JSON.stringify({ metadata: {}, ...told, code })) as JsonObject;
  }
}

const shown = ({ name, uid, groups, extra }: UserInfo): JsonObject => ({
  username: name,
  ...(uid === undefined ? {} : { uid }),
  groups: [...groups],
  ...(extra ? { extra: extra as JsonObject } : {}),
});

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

  async close(): Promise<void> {
    await Promise.all(this.#sinks.map((sink) => sink.close()));
  }
}
